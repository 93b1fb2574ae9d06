// Sees everything that comes to the pages, and hears their complaints.
import assert from "node:assert/strict";

export class Watch {
  /** What the pages complained of. */
  complaints = [];
  #expected = [];
  /** Everything that came to the browser, but its cookie jar. */
  #seen = [];
  #reading = [];
  #bodies = 0;
  #events = new Map();

  async over(context) {
    context.on("page", (page) => this.#listen(page));
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
        console.error(`the policy forbids ${violatedDirective} ${blockedURI}`));
    });
  }

  /** One complaint of this kind is wanted from now on, until the end of the case. */
  expect(pattern) {
    this.#expected.push(pattern);
  }

  async #listen(page) {
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(`${page.url()}: ${message.text()}`);
      this.#seen.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error}`));
    page.on("response", (response) => this.#reading.push(this.#read(response)));
    const session = await page.context().newCDPSession(page);
    const events = [];
    this.#events.set(page, events);
    session.on("Network.eventSourceMessageReceived", ({ eventName, data }) => {
      events.push(eventName);
      this.#seen.push(eventName, data);
    });
    await session.send("Network.enable");
  }

  async #read(response) {
    this.#seen.push(response.url());
    const headers = await response.headersArray().catch(() => []);
    this.#seen.push(...headers.map(({ value }) => value));
    const isStream = headers.some(({ value }) => value.startsWith("text/event-stream"));
    if (isStream || (response.status() >= 300 && response.status() < 400)) return;
    try {
      this.#seen.push(await response.text());
      this.#bodies += 1;
    } catch {
      // The page was left before the answer was there.
    }
  }

  /** The names of the events that the server sent to this page. */
  events(page) {
    return this.#events.get(page) ?? [];
  }

  /** What scripts can reach. */
  async look(page) {
    const { html, cookie, stores } = await page.evaluate(() => ({
      html: document.documentElement.outerHTML,
      cookie: document.cookie,
      stores: JSON.stringify([{ ...localStorage }, { ...sessionStorage }]),
    }));
    assert.equal(cookie, "", "scripts can read a cookie");
    assert.equal(stores, "[{},{}]", "something is stored");
    for (const { name, value } of await page.context().cookies()) {
      // How many sign-ins there were is no secret, and a digit that any page has.
      if (name !== "sign-ins") assert(!html.includes(value), "the page has the cookie");
    }
    this.#seen.push(html);
  }

  assertQuiet() {
    const unexpected = this.complaints.filter((complaint) => !this.#expected.some((pattern) => pattern.test(complaint)));
    assert.deepEqual(unexpected, []);
    this.complaints = [];
    this.#expected = [];
  }

  /** None of these texts ever came to the browser. Returns how much was looked through. */
  async assertNone(secrets) {
    await Promise.all(this.#reading);
    assert(secrets.length > 20, "the issuer gave out tokens");
    assert(this.#bodies > 300, `${this.#bodies} bodies were read`);
    for (const text of this.#seen) {
      for (const secret of secrets) assert(!text.includes(secret), `a token is in: ${text.slice(0, 200)}`);
    }
    return `${secrets.length} tokens, ${this.#bodies} bodies`;
  }
}
