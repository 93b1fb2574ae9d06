// What happens to the session, heard in every tab. No token is ever here.

const NAMES = ["INITIAL_SESSION", "TOKEN_REFRESHED", "SIGNED_OUT"];
const listeners = new Set();
const tabs = new BroadcastChannel("session-events");

/** Calls back with the name of each event. After `INITIAL_SESSION`, some may have been missed before. */
export function listen(listener) {
  listeners.add(listener);
}

/** To the sign-in page, and back to this one. */
export function signIn() {
  const here = encodeURIComponent(location.pathname + location.search);
  location.replace(`/sign-in?return_to=${here}&signed_out`);
}

// Whoever signs out here is led on by the answer to that.
let leaving = false;
addEventListener("submit", () => (leaving = true));

async function hear(event) {
  listeners.forEach((listener) => listener(event));
  if (event !== "SIGNED_OUT" || leaving) return;
  leaving = true;
  // Another tab may have signed in anew.
  if (await isSignedIn()) location.reload();
  else signIn();
}

function tellAll(event) {
  tabs.postMessage(event);
  hear(event);
}

tabs.onmessage = ({ data }) => hear(data);

// One connection for all tabs, since a browser has only six to a site over HTTP/1.1: whoever holds the lock listens,
// and when that tab is closed another one gets the lock.
navigator.locks.request("session-events", async () => {
  let over = false;
  while (!over) {
    over = await stream();
    if (!over) await new Promise((resolve) => setTimeout(resolve, 2000));
  }
});

/** Listens until the stream ends. Resolves with whether the session is over. */
function stream() {
  return new Promise((resolve) => {
    const source = new EventSource("/auth/events");
    source.onerror = async () => {
      // A broken connection is mended by the browser itself.
      if (source.readyState !== EventSource.CLOSED) return;
      const over = !(await isSignedIn());
      if (over) tellAll("SIGNED_OUT");
      resolve(over);
    };
    for (const name of NAMES) {
      source.addEventListener(name, () => {
        if (name === "SIGNED_OUT") source.close();
        tellAll(name);
        if (name === "SIGNED_OUT") resolve(true);
      });
    }
  });
}

/** A server that cannot tell has not signed anybody out. */
async function isSignedIn() {
  try {
    const answer = await fetch("/auth/session");
    return !answer.ok || (await answer.json()).signed_in;
  } catch {
    return true;
  }
}
