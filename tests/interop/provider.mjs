// An OpenID Provider that others wrote (node-oidc-provider), with one resource for each signature algorithm.
// Prints one JSON line when it listens, and ends when its standard input does.

import { createServer } from 'node:http';
import { Provider, errors } from 'oidc-provider';
import { exportJWK, generateKeyPair } from 'jose';

const ALGORITHMS = [
  'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519',
];
const HMAC_SECRET = 'a secret that both sides know, long enough for SHA-256';
const CIBA = 'urn:openid:params:grant-type:ciba';
const SCOPE = 'orders:read';

const api = (name) => `https://api.example/${name}`;
const client = { id: 'interop', secret: 'interop-secret' };

/// What a resource's access tokens look like.
function resourceServer(audience) {
  const name = audience.replace(api(''), '');
  if (name === 'opaque') return { scope: SCOPE, audience, accessTokenFormat: 'opaque' };
  const key = name === 'HS256' ? Buffer.from(HMAC_SECRET) : undefined;
  if (!key && !ALGORITHMS.includes(name)) throw new errors.InvalidTarget();
  return { scope: SCOPE, audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: name, key } } };
}

/// One key of each kind. The RSA key names no `alg`, and so stands for six; none names its `kid`.
async function keys() {
  const kinds = [
    ['RS256', { modulusLength: 2048 }], ['ES256'], ['ES384'], ['ES512'], ['EdDSA', { crv: 'Ed25519' }],
  ];
  const jwk = async ([alg, options]) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true, ...options });
    return { ...await exportJWK(privateKey), use: 'sig' };
  };
  return Promise.all(kinds.map(jwk));
}

/// The user agrees at once, on a device that is not there.
async function agree(ctx, request, account) {
  const { provider } = ctx.oidc;
  const grant = new provider.Grant({ accountId: account.accountId, clientId: request.clientId });
  grant.addOIDCScope('openid');
  for (const resource of [request.params.resource].flat()) grant.addResourceScope(resource, SCOPE);
  await grant.save();
  await provider.backchannelResult(request, grant);
}

const configuration = {
  jwks: { keys: await keys() },
  clients: [{
    client_id: client.id,
    client_secret: client.secret,
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: ['client_credentials', CIBA],
    response_types: [],
    redirect_uris: [],
    backchannel_token_delivery_mode: 'poll',
    id_token_signed_response_alg: 'RS256',
  }],
  scopes: ['openid', SCOPE],
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, audience) => resourceServer(audience),
      useGrantedResource: () => true,
    },
    ciba: {
      enabled: true,
      processLoginHint: (_ctx, hint) => hint,
      validateRequestContext: () => {},
      validateBindingMessage: () => {},
      verifyUserCode: () => {},
      triggerAuthenticationDevice: agree,
    },
  },
};

// The issuer's name holds its port, so the port is known first.
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration).callback());
  console.log(JSON.stringify({ issuer, api: api(''), algorithms: ALGORITHMS, hmac_secret: HMAC_SECRET, client }));
});

process.stdin.on('close', () => process.exit()).resume();
