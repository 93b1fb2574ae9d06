// The dashboard. What it calls, it calls with the session's cookie, which it cannot read.

import { listen, signIn } from "./live.js";

const by = (id) => document.getElementById(id);
const dots = [...by("dots").children];
const buttons = [by("call-expired"), by("call-now"), by("refresh")];

/** When the access token expires, by this page's own clock, in milliseconds; and how long it lived from when we saw it. */
let expires = 0;
let whole = 1;

const left = () => Math.max(0, expires - performance.now());

async function showSession() {
  const answer = await fetch("/auth/session");
  if (!answer.ok) return;
  const { signed_in, expires_in } = await answer.json();
  if (!signed_in) return signIn();
  // Whole seconds, rounded down: by now it has at most one more.
  whole = (expires_in + 1) * 1000;
  expires = performance.now() + whole;
  showLife();
}

function showLife() {
  const seconds = Math.ceil(left() / 1000);
  by("life").value = left() / whole;
  by("life-text").textContent =
    seconds === 0 ? "expired; the next call refreshes it"
    : seconds > 120 ? `lives for another ${Math.round(seconds / 60)} min`
    : `lives for another ${seconds} s`;
}

/** Sends 50 calls, and shows what came back. */
async function call() {
  dots.forEach((dot) => (dot.className = "sent"));
  for (const id of ["answers", "refreshes", "took"]) by(id).textContent = "…";
  const before = await refreshes();
  const start = performance.now();
  const answers = await Promise.all(dots.map(async (dot) => {
    const status = await me().catch(() => 0);
    dot.className = status === 200 ? "good" : "bad";
    return status;
  }));
  const took = Math.round(performance.now() - start);
  const good = answers.filter((status) => status === 200).length;
  const spent = (await refreshes()) - before;
  by("answers").textContent = good;
  by("refreshes").textContent = spent;
  by("took").textContent = `${took} ms`;
  by("calls-text").textContent =
    `${good} of ${answers.length} calls were answered, with ${spent} ${spent === 1 ? "refresh" : "refreshes"}.`;
  if (answers.includes(401)) signIn();
  else await showSession();
}

async function me() {
  const answer = await fetch("/api/me");
  await answer.text();
  return answer.status;
}

async function refreshes() {
  return (await (await fetch("/refreshes")).json()).refreshes;
}

async function callWhenExpired() {
  if (left() > 120_000) {
    by("calls-text").textContent = "It lives for too long to wait. Let the issuer's access tokens live shorter, or call now.";
    return;
  }
  while (left() > 0) {
    by("calls-text").textContent = `Waiting for the token to expire: ${Math.ceil(left() / 1000)} s.`;
    await new Promise((resolve) => setTimeout(resolve, Math.min(left() + 50, 1000)));
  }
  await call();
}

/** Does one thing at a time. */
function onClick(id, work) {
  by(id).addEventListener("click", async () => {
    buttons.forEach((button) => (button.disabled = true));
    try {
      await work();
    } catch {
      by("calls-text").textContent = "The site did not answer. Try again.";
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  });
}

onClick("call-now", call);
onClick("call-expired", callWhenExpired);
onClick("refresh", async () => {
  const answer = await fetch("/auth/refresh", { method: "POST" });
  by("life-text").textContent = answer.status === 429 ? "was refreshed a moment ago" : "…";
  if (answer.ok) await showSession();
});

listen((event) => {
  if (event !== "SIGNED_OUT") showSession();
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  item.append(time, event);
  by("event-list").prepend(item);
});

showSession();
setInterval(showLife, 250);
