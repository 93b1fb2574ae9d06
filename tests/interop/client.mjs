// supabase-js as a client of the project given on its standard input, `{ "url", "key", "email", "password", "act", "pairs" }`.
// Prints what came of `act` as JSON.

import { createServerClient } from '@supabase/ssr';
import { createClient } from '@supabase/supabase-js';
import { parse, serialize } from 'cookie';
import { text } from 'node:stream/consumers';

const { url, key, email, password, act, pairs = [] } = JSON.parse(await text(process.stdin));
console.warn = () => {};

// Node 20 has no WebSocket; none is opened.
const realtime = { transport: class {} };

const fresh = () => {
  const stored = new Map();
  const storage = {
    getItem: (name) => stored.get(name) ?? null,
    setItem: (name, value) => void stored.set(name, value),
    removeItem: (name) => void stored.delete(name),
  };
  return createClient(url, key, {
    auth: { storage, persistSession: true, autoRefreshToken: false, flowType: 'pkce' }, realtime,
  }).auth;
};

const good = ({ data, error }) => {
  if (error) throw error;
  return data;
};

const signIn = async (auth) => good(await auth.signInWithPassword({ email, password })).session;

/// A client with a browser's jar, and the `Set-Cookie` lines that it made.
function served() {
  const jar = new Map(pairs.map((pair) => [pair.split('=')[0], pair]));
  const getAll = () => [...jar.values()].map((pair) => {
    const [[name, value]] = Object.entries(parse(pair));
    return { name, value };
  });
  const setAll = (cookies) => cookies.forEach(({ name, value, options }) => {
    if (options.maxAge === 0) jar.delete(name);
    else jar.set(name, serialize(name, value, options).split(';')[0]);
  });
  return { auth: createServerClient(url, key, { cookies: { getAll, setAll }, realtime }).auth, jar };
}

const acts = {
  /// In, refreshed, who am I, out.
  async session() {
    const auth = fresh();
    const first = await signIn(auth);
    const second = good(await auth.refreshSession()).session;
    const { user } = good(await auth.getUser());
    const { claims } = good(await auth.getClaims());
    good(await auth.signOut({ scope: 'local' }));
    const gone = await auth.getUser(second.access_token);
    return {
      first: first.refresh_token, second: second.refresh_token, email: user.email, subject: claims.sub,
      gone: gone.error?.name, left: good(await auth.getSession()).session,
    };
  },
  async wrongPassword() {
    const { error } = await fresh().signInWithPassword({ email, password: `${password}?` });
    return { status: error.status, code: error.code };
  },
  /// Through a provider and back.
  async pkce() {
    const auth = fresh();
    const back = 'http://127.0.0.1:9/back?next=/home';
    const started = good(await auth.signInWithOAuth({
      provider: 'github', options: { redirectTo: back, skipBrowserRedirect: true },
    }));
    const answer = await fetch(started.url, { redirect: 'manual' });
    const location = new URL(answer.headers.get('location'));
    const { session } = good(await auth.exchangeCodeForSession(location.searchParams.get('code')));
    return { status: answer.status, next: location.searchParams.get('next'), email: session.user.email };
  },
  /// What it makes of a refresh that goes wrong.
  async refresh() {
    const auth = fresh();
    const { refresh_token } = await signIn(auth);
    const { data, error } = await auth.refreshSession();
    return { first: refresh_token, second: data.session?.refresh_token ?? null, code: error?.code ?? null };
  },
  /// Five at once, each with a client of its own, as servers have it.
  async parallel() {
    const { refresh_token } = await signIn(fresh());
    const all = Array.from({ length: 5 }, () => fresh().refreshSession({ refresh_token }));
    const tokens = (await Promise.all(all)).map((result) => good(result).session.refresh_token);
    return { first: refresh_token, distinct: new Set(tokens).size };
  },
  /// Signs in and leaves the session in cookies.
  async cookies() {
    const { auth, jar } = served();
    await signIn(auth);
    return { pairs: [...jar.values()] };
  },
  /// Reads the session in cookies, and asks who that is.
  async read() {
    const { auth, jar } = served();
    const { session } = good(await auth.getSession());
    const { user } = good(await auth.getUser());
    return { refresh_token: session.refresh_token, email: user.email, pairs: [...jar.values()] };
  },
};

const result = await acts[act]();
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit());
