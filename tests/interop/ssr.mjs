// What `@supabase/ssr` writes and reads. Takes one JSON object from its standard input:
// - `write`: cases of a time, options, and the token endpoint's answers one after the other in one jar; `null` signs out;
// - `read`: jars, as pairs of a `Cookie` header.
// Prints, for each case, for each step, the `Set-Cookie` lines and the pairs in the jar after them; and for each jar the
// session.

import { createServerClient } from '@supabase/ssr';
import { parse, serialize } from 'cookie';
import { text } from 'node:stream/consumers';

const { project_url, write = [], read = [] } = JSON.parse(await text(process.stdin));
const realNow = Date.now;
// The package says on the console what it thinks of servers that trust cookies: not our matter here.
console.warn = () => {};

/// A browser's jar for one host: a new cookie takes the place of the old one of its name, `Max-Age=0` takes it out.
class Jar {
  cookies = new Map();
  lines = [];
  constructor(pairs = []) {
    for (const pair of pairs) this.cookies.set(pair.split('=')[0], pair);
  }
  getAll = () => [...this.cookies.values()].map((pair) => {
    const [[name, value]] = Object.entries(parse(pair));
    return { name, value };
  });
  setAll = (cookies) => cookies.forEach(({ name, value, options }) => {
    const line = serialize(name, value, options);
    this.lines.push(line);
    if (options.maxAge === 0) this.cookies.delete(name);
    else this.cookies.set(name, line.split(';')[0]);
  });
}

function client(jar, answer, { domain, secure, httpOnly, encoding, tokensOnly } = {}) {
  return createServerClient(project_url, 'sb_publishable_interop', {
    cookies: { getAll: jar.getAll, setAll: jar.setAll, encode: tokensOnly ? 'tokens-only' : undefined },
    cookieOptions: { ...domain && { domain }, ...secure && { secure }, ...httpOnly && { httpOnly } },
    cookieEncoding: encoding,
    global: { fetch: async () => new Response(answer, { headers: { 'content-type': 'application/json' } }) },
    // Node 20 has no WebSocket; none is opened.
    realtime: { transport: class {} },
  });
}

async function step(jar, answer, options) {
  jar.lines = [];
  const { auth } = client(jar, answer ?? '{}', options);
  const { error } = answer === null
    ? await auth.signOut()
    : await auth.signInWithPassword({ email: 'ada@example.com', password: 'correct horse' });
  if (error) throw error;
  return { lines: jar.lines, pairs: [...jar.cookies.values()] };
}

const written = [];
for (const { now, options, pairs, answers } of write) {
  Date.now = () => now;
  const jar = new Jar(pairs);
  const steps = [];
  for (const answer of answers) steps.push(await step(jar, answer, options));
  written.push(steps);
}
Date.now = realNow;

const sessions = [];
for (const pairs of read) {
  const { data } = await client(new Jar(pairs), '{}').auth.getSession();
  const { access_token, refresh_token, expires_at, user } = data.session ?? {};
  sessions.push(data.session && { access_token, refresh_token, expires_at, text: user?.user_metadata?.text ?? null });
}
process.stdout.write(`${JSON.stringify({ written, sessions })}\n`, () => process.exit());
