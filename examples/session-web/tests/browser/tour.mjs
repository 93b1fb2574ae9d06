// A browser's way through the site. Reads where everything is from its standard input; prints a line for each case
// that held, and ends with 1 at the first that did not.
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";
import { Watch } from "./watch.mjs";

const { site, embedded, issuer, email, password } = JSON.parse(await text(process.stdin));

/** How long anything may take that is to happen by itself, in milliseconds. */
const BOUND = 10_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM.includes("/") ? process.env.CHROMIUM : `/usr/bin/${process.env.CHROMIUM}`,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const watch = new Watch();

/** A browser of its own: its cookies and storage are nobody else's. */
async function visitor(options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(BOUND);
  await watch.over(context);
  return context;
}

const control = async (path, method = "GET") => fetch(issuer + path, { method });
const counts = async () => (await control("/counts")).json();
const lifetime = (seconds) => control(`/lifetime/${seconds}`, "POST");
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const at = (path) => (url) => url.pathname + url.search === path;

/** Fills in the form of the sign-in page that is open. */
async function signIn(page) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** A page of somebody who has just signed in, with access tokens that live for so many seconds. */
async function member(seconds, path = "/") {
  const context = await visitor();
  await lifetime(seconds);
  const answer = await context.request.post(`${site}/auth/password`, { data: { email, password } });
  assert.equal(answer.status(), 200);
  const page = await context.newPage();
  await page.goto(site + path);
  assert.equal(new URL(page.url()).pathname, path);
  return page;
}

/** The dashboard sees its token expire. Until then it may have got another one, on a slow machine. */
const expired = (page) => page.getByText("expired; the next call").waitFor();

/** Sends the 50 calls, and reads what the page says of them. */
async function call(page, button) {
  await page.getByRole("button", { name: button }).click();
  await page.waitForFunction(() => document.getElementById("took").textContent.endsWith("ms"));
  const shown = (id) => page.locator(`#${id}`).textContent();
  return { answers: await shown("answers"), refreshes: await shown("refreshes") };
}

const CALL_NOW = "Call now";
const CALL_EXPIRED = "Wait until it has expired, then call";

const cases = {
  "the site with its own issuer answers 50 calls with one refresh": async () => {
    const page = await (await visitor()).newPage();
    await page.goto(embedded);
    await signIn(page);
    await page.waitForURL(at("/"));
    assert.deepEqual(await call(page, CALL_EXPIRED), { answers: "50", refreshes: "1" });
  },

  "without a session, a page leads to sign-in and back": async () => {
    const page = await (await visitor()).newPage();
    await lifetime(3600);
    await page.goto(`${site}/profile?tab=claims&of=a%20b`);
    await page.waitForURL((url) => url.pathname === "/sign-in");
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill("a guess");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await signIn(page);
    await page.waitForURL(at("/profile?tab=claims&of=a%20b"));
    await page.getByRole("heading", { name: "Profile" }).waitFor();
    assert.match(await page.locator("main").textContent(), new RegExp(email));
  },

  "nobody is led to another site": async () => {
    const page = await (await visitor()).newPage();
    await page.goto(`${site}/sign-in?return_to=${encodeURIComponent("//example.com/")}`);
    await signIn(page);
    await page.waitForURL(at("/"));
    assert.equal(new URL(page.url()).origin, site);
  },

  "a sign-in at a provider leads back as well": async () => {
    const page = await (await visitor()).newPage();
    await page.goto(`${site}/profile?by=provider`);
    await page.getByRole("link", { name: "Continue with github" }).click();
    await page.waitForURL(at("/profile?by=provider"));
    assert.match(await page.locator("main").textContent(), new RegExp(email));
    // Beside the session, only that there was a sign-in: for half a minute, so that none leads round for ever.
    const names = (await page.context().cookies()).map(({ name }) => name).sort();
    assert.deepEqual(names, ["__Host-session", "sign-ins"]);
  },

  "50 calls with an expired token are answered with one refresh": async () => {
    const page = await member(2);
    await expired(page);
    await lifetime(3600);
    const before = await counts();
    assert.deepEqual(await call(page, CALL_NOW), { answers: "50", refreshes: "1" });
    assert.equal((await counts()).refreshes - before.refreshes, 1, "as the issuer counts");
    await page.getByText("TOKEN_REFRESHED").first().waitFor();
  },

  "two tabs are live, and their calls share one refresh": async () => {
    const first = await member(3600);
    const second = await first.context().newPage();
    await second.goto(site);
    await lifetime(2);
    await first.getByRole("button", { name: "Refresh now" }).click();
    for (const page of [first, second]) await page.getByText("TOKEN_REFRESHED").first().waitFor();
    for (const page of [first, second]) await expired(page);
    await lifetime(3600);
    const before = await counts();
    const results = await Promise.all([call(first, CALL_NOW), call(second, CALL_NOW)]);
    for (const { answers } of results) assert.equal(answers, "50");
    assert.equal((await counts()).refreshes - before.refreshes, 1);
  },

  "after an idle while, a click goes on without sign-in": async () => {
    const page = await member(1, "/profile");
    await wait(1100);
    await lifetime(3600);
    const before = await counts();
    await page.getByRole("link", { name: "Dashboard" }).click();
    await page.getByRole("heading", { name: "50 calls at once" }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/");
    assert.equal((await counts()).refreshes - before.refreshes, 1);
  },

  "a sign-out in one tab is seen by the others": async () => {
    const first = await member(3600);
    const second = await first.context().newPage();
    await second.goto(`${site}/profile?tab=2`);
    // Of the same session, with nothing in common but the server.
    const elsewhere = await visitor();
    await elsewhere.addCookies(await first.context().cookies());
    const third = await elsewhere.newPage();
    await third.goto(site);
    await third.waitForFunction(() => document.getElementById("life").value > 0);
    await wait(300);
    const { sessions } = await counts();
    await first.getByRole("button", { name: "Here, in all tabs" }).click();
    await first.waitForURL((url) => url.pathname === "/sign-in");
    await second.waitForURL((url) => url.pathname === "/sign-in" && url.searchParams.get("return_to") === "/profile?tab=2");
    await third.waitForURL((url) => url.pathname === "/sign-in");
    assert.deepEqual(watch.events(third), ["INITIAL_SESSION", "SIGNED_OUT"]);
    await first.getByText("You are signed out.").waitFor();
    assert.deepEqual(await first.context().cookies(), []);
    assert.equal((await counts()).sessions, sessions - 1);
    // And the name is good for nothing any more.
    await third.goto(site);
    await third.waitForURL((url) => url.pathname === "/sign-in");
  },

  "a sign-out everywhere reaches another device at its next call": async () => {
    const [here, there] = [await member(3600), await member(3600)];
    await wait(1100); // the gate tells tokens from before the sign-out by the second
    await here.getByRole("button", { name: "Everywhere" }).click();
    await here.waitForURL((url) => url.pathname === "/sign-in");
    assert.equal((await counts()).sessions, 0);
    watch.expect(/status of 401/);
    await there.getByRole("button", { name: CALL_NOW }).click();
    await there.waitForURL((url) => url.pathname === "/sign-in");
    // Whoever signs in again is not meant.
    await signIn(there);
    await there.waitForURL(at("/"));
  },

  "a sign-out of the others ends them with their access tokens": async () => {
    const [here, there] = [await member(3600), await member(2, "/profile")];
    await here.getByRole("button", { name: "On my other devices" }).click();
    await here.waitForLoadState();
    assert.equal((await counts()).sessions, 1);
    await wait(2100);
    await there.getByRole("link", { name: "Dashboard" }).click();
    await there.waitForURL((url) => url.pathname === "/sign-in");
    await here.getByRole("link", { name: "Profile" }).click();
    await here.waitForURL(at("/profile"));
  },

  "the cookie is out of reach, and only the site's own": async () => {
    for (const host of ["localhost", "127.0.0.1"]) {
      const context = await visitor();
      const page = await context.newPage();
      await page.goto(`${site.replace("localhost", host)}/profile`);
      await signIn(page);
      await page.waitForURL(at("/profile"));
      const cookies = await context.cookies();
      assert.equal(cookies.length, 1, host);
      const [{ name, value, httpOnly, secure, sameSite, path, domain }] = cookies;
      assert.deepEqual({ name, httpOnly, secure, sameSite, path, domain },
        { name: "__Host-session", httpOnly: true, secure: true, sameSite: "Lax", path: "/", domain: host });
      assert.match(value, /^[\w-]{43}$/);
    }
  },

  "another site's form signs nobody out": async () => {
    const page = await member(3600);
    const evil = await page.context().newPage();
    await evil.goto(issuer);
    watch.expect(/status of 403/);
    const refused = evil.waitForResponse((response) => response.status() === 403);
    await evil.setContent(`<form method="post" action="${site}/auth/logout?scope=global"><button>Win!</button></form>`);
    await evil.getByRole("button").click();
    assert.equal(new URL((await refused).url()).pathname, "/auth/logout");
    await evil.close();
    await page.reload();
    assert.equal(new URL(page.url()).pathname, "/");
  },

  "without scripts it works as well": async () => {
    const page = await (await visitor({ javaScriptEnabled: false })).newPage();
    await page.goto(`${site}/profile`);
    await signIn(page);
    await page.waitForURL(at("/profile"));
    await page.getByRole("link", { name: "Dashboard" }).click();
    await page.getByRole("button", { name: "Here, in all tabs" }).click();
    await page.getByText("You are signed out.").waitFor();
    await page.goto(`${site}/profile`);
    await page.waitForURL((url) => url.pathname === "/sign-in");
  },
};

let failed = false;
for (const [name, run] of Object.entries(cases)) {
  const start = performance.now();
  try {
    await run();
    for (const context of browser.contexts()) {
      for (const page of context.pages()) await watch.look(page);
    }
    for (const context of browser.contexts()) await context.close();
    watch.assertQuiet();
    console.log(`ok ${name} (${Math.round(performance.now() - start)} ms)`);
  } catch (error) {
    const pages = browser.contexts().flatMap((context) => context.pages());
    console.error(`FAILED ${name}: ${error.stack}\nopen: ${pages.map((page) => page.url()).join(" ")}`);
    console.error(watch.complaints.join("\n"));
    failed = true;
    break;
  }
}
if (!failed) {
  const seen = await watch.assertNone(await (await control("/tokens")).json());
  console.log(`ok no token was ever in the browser (${seen})`);
}
await browser.close();
process.exitCode = failed ? 1 : 0;
