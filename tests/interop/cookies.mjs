// Session cookies as `@supabase/ssr` writes them, in the jar of one browser per case. Prints one JSON object: the
// project, its keys, and for each case the pairs of the `Cookie` header and whose session is in them, if anybody's.

import { createBrowserClient, createServerClient } from '@supabase/ssr';
import { serialize } from 'cookie';
import { SignJWT, decodeJwt, exportJWK, generateKeyPair } from 'jose';
import { randomUUID } from 'node:crypto';

const PROJECT = 'https://abcdefghijklmnopqrst.supabase.co';
const OTHER = 'https://tsrqponmlkjihgfedcba.supabase.co';
const now = Math.floor(Date.now() / 1000);
const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });

const accessToken = (user, url) => new SignJWT({
  iss: `${url}/auth/v1`, aud: 'authenticated', sub: user.id, iat: now, exp: now + 3600, role: 'authenticated',
  email: user.email, phone: '', app_metadata: { provider: 'email', providers: ['email'] }, user_metadata: {},
  aal: 'aal1', amr: [{ method: 'password', timestamp: now }], session_id: randomUUID(), is_anonymous: false,
}).setProtectedHeader({ alg: 'ES256', kid: 'project', typ: 'JWT' }).sign(privateKey);

/// A user, with this text in the metadata.
const user = (text = '') => ({
  id: randomUUID(), aud: 'authenticated', role: 'authenticated', email: 'ada@example.com', phone: '',
  app_metadata: { provider: 'email' }, user_metadata: { name: 'Ådä 李 🦀', text }, created_at: '2026-01-01T00:00:00Z',
});

/// A browser's jar for one host: a new cookie takes the place of the old one of its name, `Max-Age=0` takes it out.
class Jar {
  #cookies = new Map();
  getAll = () => [...this.#cookies].map(([name, { value }]) => ({ name, value }));
  setAll = (cookies) => cookies.forEach(({ name, value, options }) => {
    if (options.maxAge === 0) this.#cookies.delete(name);
    else this.#cookies.set(name, { value, pair: serialize(name, value, options).split(';')[0] });
  });
  pairs = () => [...this.#cookies.values()].map(({ pair }) => pair);
}

/// A client around this jar. Whatever it asks the project for is answered here, with the user.
function client(jar, { create = createServerClient, url = PROJECT, encode, ...options } = {}) {
  const client = create(url, 'sb_publishable_interop', {
    isSingleton: false,
    cookies: { getAll: jar.getAll, setAll: jar.setAll, encode },
    global: { fetch: async () => Response.json(client.user) },
    // Node 20 has no WebSocket; none is opened.
    realtime: { transport: class {} },
    ...options,
  });
  return client;
}

async function signIn(jar, who = user(), options = {}) {
  const signing = client(jar, options);
  signing.user = who;
  const access_token = await accessToken(who, options.url ?? PROJECT);
  const { error } = await signing.auth.setSession({ access_token, refresh_token: 'interop-refresh' });
  if (error) throw error;
  return { who, signing };
}

/// So many lines of text that an encoding could trip over.
const long = (lines) => 'a 🦀 "b" 李; c=d, %41 \\ é\n'.repeat(lines);

const cases = {
  'base64url, the default': async (jar) => signIn(jar),
  'raw JSON': async (jar) => signIn(jar, user(), { cookieEncoding: 'raw' }),
  'tokens only': async (jar) => signIn(jar, user(long(1000)), { encode: 'tokens-only' }),
  'tokens only, raw': async (jar) => signIn(jar, user(), { encode: 'tokens-only', cookieEncoding: 'raw' }),
  'in chunks': async (jar) => signIn(jar, user(long(200))),
  'in chunks, raw': async (jar) => signIn(jar, user(long(100)), { cookieEncoding: 'raw' }),
  'in more than ten chunks': async (jar) => signIn(jar, user(long(700))),
  'shrunk from many chunks to one cookie': async (jar) => {
    await signIn(jar, user(long(200)));
    return signIn(jar);
  },
  'shrunk from many chunks to fewer': async (jar) => {
    await signIn(jar, user(long(450)));
    return signIn(jar, user(long(100)));
  },
  'grown from one cookie to chunks': async (jar) => {
    await signIn(jar);
    return signIn(jar, user(long(200)));
  },
  'changed from raw to base64url': async (jar) => {
    await signIn(jar, user(), { cookieEncoding: 'raw' });
    return signIn(jar);
  },
  'written by a browser': async (jar) => signIn(jar, user(), { create: createBrowserClient }),
  'written by a browser, in chunks': async (jar) =>
    signIn(jar, user(long(200)), { create: createBrowserClient }),
  'written by a browser, in raw chunks': async (jar) =>
    signIn(jar, user(long(100)), { create: createBrowserClient, cookieEncoding: 'raw' }),
  'beside the verifiers of a sign-in under way': async (jar) => {
    await client(jar).auth.signInWithOAuth({ provider: 'github', options: { skipBrowserRedirect: true } });
    return signIn(jar);
  },
  'only the verifiers of a sign-in under way': async (jar) => {
    await client(jar).auth.signInWithOAuth({ provider: 'github', options: { skipBrowserRedirect: true } });
    return { who: null };
  },
  'between cookies of others': async (jar) => {
    jar.setAll([{ name: 'theme', value: 'dark "mode"; ü', options: {} }]);
    await signIn(jar, user(), { url: OTHER });
    const signedIn = await signIn(jar);
    jar.setAll([{ name: 'sb-abcdefghijklmnopqrst-auth-token-x', value: 'no', options: {} }]);
    return signedIn;
  },
  "only another project's": async (jar) => {
    await signIn(jar, user(), { url: OTHER });
    return { who: null };
  },
  'signed out': async (jar) => {
    const { signing } = await signIn(jar, user(long(200)));
    await signing.auth.signOut();
    return { who: null };
  },
};

/// Each case in a jar of its own, which the package itself must read as we say.
async function run([name, act]) {
  const jar = new Jar();
  const { who } = await act(jar);
  const { data } = await client(jar).auth.getSession();
  const subject = data.session ? decodeJwt(data.session.access_token).sub : null;
  if (subject !== (who?.id ?? null)) throw new Error(`${name}: the package reads something else`);
  return { name, pairs: jar.pairs(), subject };
}

// The package says on the console what it thinks of servers that trust cookies: not our matter here.
console.warn = () => {};
const results = [];
for (const entry of Object.entries(cases)) results.push(await run(entry));
const jwk = { ...await exportJWK(publicKey), kid: 'project', alg: 'ES256', use: 'sig' };
const written = JSON.stringify({ project_url: PROJECT, jwks: { keys: [jwk] }, cases: results });
// Browser clients would go on refreshing; and an exit does not wait for a pipe.
process.stdout.write(`${written}\n`, () => process.exit());
