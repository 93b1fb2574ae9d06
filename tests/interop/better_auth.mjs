// A Better Auth server as a TypeScript project has one: the tokens of its `jwt` plugin, and an OAuth provider with one
// resource for each signature algorithm. Prints one JSON line when it listens, and ends when its standard input does.

import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { oauthProvider } from '@better-auth/oauth-provider';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { createAuthMiddleware } from 'better-auth/api';
import { toNodeHandler } from 'better-auth/node';
import { bearer, jwt } from 'better-auth/plugins';

const ALGORITHMS = ['EdDSA', 'ES256', 'ES512', 'RS256', 'PS256'];
const SCOPES = ['openid', 'offline_access', 'orders:read'];
const API = 'https://api.example/';
const CALLBACK = 'https://app.example/auth/callback';
const SIGNED_OUT = 'https://app.example/auth/signed-out';

// The issuer's name holds its port, so the port is known first.
const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
const issuer = `${origin}/api/auth`;

const database = Object.fromEntries([
  'user', 'session', 'account', 'verification', 'jwks', 'oauthClient', 'oauthAccessToken', 'oauthRefreshToken',
  'oauthConsent', 'oauthResource', 'oauthClientResource', 'oauthClientAssertion',
].map((table) => [table, []]));

/// How often each refresh token was presented.
const presentations = {};

const auth = betterAuth({
  baseURL: origin,
  secret: 'eZ7n2kq9Xv4bTf8mRw1pYc6hLs3gUd5a',
  database: memoryAdapter(database),
  emailAndPassword: { enabled: true },
  session: { cookieCache: { enabled: true, strategy: 'jwt' } },
  // As in production, but for the sign-ins: Ada signs in more often than a person would.
  rateLimit: { enabled: true, customRules: { '/sign-in/email': false } },
  telemetry: { enabled: false },
  logger: { disabled: true },
  hooks: {
    before: createAuthMiddleware(async ({ path, body }) => {
      if (path !== '/oauth2/token' || body.grant_type !== 'refresh_token') return;
      presentations[body.refresh_token] = (presentations[body.refresh_token] ?? 0) + 1;
    }),
  },
  plugins: [
    bearer(),
    jwt({ sessionCookieCache: true, jwks: { keyPairConfigs: ALGORITHMS.map((alg) => ({ alg })) } }),
    oauthProvider({
      loginPage: '/sign-in',
      consentPage: '/consent',
      scopes: SCOPES,
      resources: ALGORITHMS.map((alg) => ({ identifier: API + alg, name: alg, signingAlgorithm: alg })),
    }),
  ],
});

const ada = { email: 'ada@example.com', password: 'correct horse' };
const { headers, response: { token: session, user } } =
  await auth.api.signUpEmail({ body: { name: 'Ada', ...ada }, returnHeaders: true });
const cookies = new Map(headers.getSetCookie().map((line) => line.split(';')[0].split('=')));

const asAda = { headers: { authorization: `Bearer ${session}` } };
const client = await auth.api.adminCreateOAuthClient({
  ...asAda,
  body: {
    redirect_uris: [CALLBACK],
    post_logout_redirect_uris: [SIGNED_OUT],
    skip_consent: true,
    enable_end_session: true,
  },
});
for (const alg of ALGORITHMS) {
  await auth.api.adminLinkClientResource({ ...asAda, params: { identifier: API + alg, client_id: client.client_id } });
}
// Not by the registration, which wants https.
database.oauthClient[0].backchannelLogoutUri = `${origin}/told`;

/// The page where Ada signs in; her password manager does it for her.
async function signIn(request, response) {
  const answer = await auth.handler(new Request(`${issuer}/sign-in/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify({ ...ada, oauth_query: new URL(request.url, origin).search.slice(1) }),
  }));
  response.writeHead(302, { location: (await answer.json()).url }).end();
}

/// What was posted to the client's back channel.
const logouts = [];

const handler = toNodeHandler(auth);
const pages = {
  '/sign-in': signIn,
  '/told': async (request, response) => {
    logouts.push(await text(request));
    response.end();
  },
  '/logouts': (_, response) => response.end(JSON.stringify(logouts)),
  '/presentations': (_, response) => response.end(JSON.stringify(presentations)),
  // What its own rotation does once `rotationInterval` is over: a key signs no more, and is published until the end of
  // `gracePeriod`.
  '/rotate': (_, response) => {
    for (const key of database.jwks) key.expiresAt = new Date(Date.now() - 1000);
    response.end('null');
  },
};
server.on('request', (request, response) => {
  const { pathname } = new URL(request.url, origin);
  const page = pathname.startsWith('/api/auth/') ? handler : pages[pathname];
  return page ? page(request, response) : response.writeHead(404).end();
});

console.log(JSON.stringify({
  origin, issuer, api: API, algorithms: ALGORITHMS, callback: CALLBACK, signed_out: SIGNED_OUT,
  subject: user.id, session, cookie: cookies.get('better-auth.session_data'),
  client: { id: client.client_id, secret: client.client_secret },
}));

process.stdin.on('end', () => process.exit()).resume();
