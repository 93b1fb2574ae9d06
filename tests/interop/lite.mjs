// Supabase Lite as the auth server of a project, in memory. Prints where it is. Takes wishes of the test at `/test`; GitHub,
// for sign-ins by it, is at `/github`. Ends with its standard input.
//
// Its command line would send telemetry, and needs `node:sqlite`, which Node 20 has not: only its `App` is used.

import { App } from '@supabase/lite';
import { createLibsqlConnection } from '@supabase/lite/libsql';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';

const key = 'sb_publishable_interop';
const secret = 'one secret that signs all of its tokens';

const connection = await createLibsqlConnection({ url: ':memory:', ddlDialect: 'postgres' });
const count = (table) => connection.kysely.selectFrom(table).select('id').execute().then((rows) => rows.length);

let url;
let app;
let refreshes = 0;
/// How many answers are still to get lost.
let lost = 0;

/// With these settings, which are not those of before; the database stays.
function set(settings) {
  app = new App({
    connection,
    api: { external_url: url },
    auth: {
      enabled: true,
      jwt_secret: secret,
      publishable_key: key,
      site_url: 'https://another.example',
      // As the documentation of our endpoint has it.
      additional_redirect_urls: ['https://app.example/auth/callback?*'],
      external: { github: { enabled: true, client_id: 'lite', secret: 'lite', url: `${url}/github` } },
      ...settings,
    },
  });
}

const routes = {
  /// `{ "set": its settings, "sql": a statement, "lose": how many answers to a refresh get lost }`, all of them optional.
  async '/test'(request) {
    const wish = await request.json();
    if (wish.set) set(wish.set);
    if (wish.sql) await connection.exec(wish.sql);
    lost = wish.lose ?? lost;
    return Response.json({ refreshes, sessions: await count('auth.sessions') });
  },
  /// The user agrees, unless asked to say no.
  '/github/login/oauth/authorize'(request) {
    const asked = new URL(request.url).searchParams;
    const back = new URL(asked.get('redirect_uri'));
    back.searchParams.set('state', asked.get('state'));
    if (asked.has('say_no')) back.searchParams.set('error', 'access_denied');
    else back.searchParams.set('code', 'of-github');
    return Response.redirect(back, 302);
  },
  '/github/login/oauth/access_token': () => Response.json({ access_token: 'of-github', token_type: 'bearer' }),
  '/github/api/v3/user': () => Response.json({ id: 7, login: 'grace' }),
  '/github/api/v3/user/emails': () => Response.json([{ email: 'grace@example.com', verified: true, primary: true }]),
};

const server = createServer(async (incoming, outgoing) => {
  const at = new URL(incoming.url, url);
  const body = await buffer(incoming);
  const { method, headers } = incoming;
  const request = new Request(at, { method, headers, ...body.length && { body } });
  const answer = await (routes[at.pathname] ?? ((request) => app.fetch(request)))(request);
  if (at.searchParams.get('grant_type') === 'refresh_token') {
    refreshes += 1;
    if (lost > 0) {
      lost -= 1;
      return outgoing.destroy();
    }
  }
  outgoing.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await buffer(answer.body ?? []));
});
server.listen(0, '127.0.0.1', async () => {
  url = `http://127.0.0.1:${server.address().port}`;
  set({});
  await app.ensureSystemSchema();
  console.log(JSON.stringify({ url, key, secret }));
});

process.stdin.on('close', () => process.exit()).resume();
