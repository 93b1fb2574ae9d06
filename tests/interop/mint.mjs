// Tokens by `jose`: the usual ones, the odd ones that are right, and the wrong ones. Prints one JSON object: where they
// come from, the keys, and for each token the verdict that a gate must reach, and whether jose would accept it.

import {
  CompactEncrypt, CompactSign, FlattenedSign, SignJWT, UnsecuredJWT, createLocalJWKSet, exportJWK, exportSPKI,
  generateKeyPair, jwtVerify,
} from 'jose';

const iss = 'https://issuer.example';
const aud = 'https://api.example';
const now = Math.floor(Date.now() / 1000);
const CLAIMS = { iss, aud, sub: 'ada', iat: now, exp: now + 600 };

const encode = (text) => new TextEncoder().encode(text);
const pairs = Object.fromEntries(await Promise.all(
  ['RS256', 'ES256', 'ES384', 'ES512', 'EdDSA'].map(async (alg) =>
    [alg, await generateKeyPair(alg, { extractable: true })]),
));
const stranger = await generateKeyPair('ES256', { extractable: true });
const jwks = {
  keys: await Promise.all(Object.entries(pairs).map(async ([kid, { publicKey }]) =>
    ({ ...await exportJWK(publicKey), kid, use: 'sig' }))),
};

/// The key that signs with this algorithm; the RSA key is imported once for each.
async function keyFor(alg) {
  if (alg === 'Ed25519') return [pairs.EdDSA.privateKey, 'EdDSA'];
  if (!/^[RP]S/.test(alg)) return [pairs[alg].privateKey, alg];
  return [await exportJWK(pairs.RS256.privateKey), 'RS256'];
}

/// A good token, but for this. `undefined` leaves a member out.
async function token({ alg = 'ES256', header, claims, key, options } = {}) {
  const [own, kid] = await keyFor(alg);
  return new SignJWT({ ...CLAIMS, ...claims })
    .setProtectedHeader({ alg, kid, typ: 'JWT', ...header })
    .sign(key ?? own, options);
}

/// This text as the payload, to the letter.
const raw = (payload, header, options) => new CompactSign(encode(payload))
  .setProtectedHeader({ alg: 'ES256', kid: 'ES256', ...header })
  .sign(pairs.ES256.privateKey, options);

/// JSON in which every letter of every string is escaped.
const escaped = (claims) => JSON.stringify(claims).replace(/"[^"]*"/g, (string) =>
  string.replace(/[^"]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));

/// The payload signed as it is (RFC 7797), which no JWT is, and then written as if it were one.
async function unencoded() {
  const payload = JSON.stringify(CLAIMS);
  const { protected: header, signature } = await new FlattenedSign(encode(payload))
    .setProtectedHeader({ alg: 'ES256', kid: 'ES256', b64: false, crit: ['b64'] })
    .sign(pairs.ES256.privateKey);
  return `${header}.${Buffer.from(payload).toString('base64url')}.${signature}`;
}

/// The key that everybody knows, taken for a secret.
async function confused() {
  const secret = encode(await exportSPKI(pairs.RS256.publicKey));
  return token({ alg: 'RS256', header: { alg: 'HS256' }, key: secret });
}

/// With one bit of its last byte but one turned.
async function tampered() {
  const [header, payload, signature] = (await token()).split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[bytes.length - 2] ^= 1;
  return [header, payload, bytes.toString('base64url')].join('.');
}

/// The signature of another payload.
async function swapped() {
  const [mine, theirs] = [(await token()).split('.'), (await token({ claims: { sub: 'eve' } })).split('.')];
  return [mine[0], theirs[1], mine[2]].join('.');
}

const encrypted = async () => new CompactEncrypt(encode(await token()))
  .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT' })
  .encrypt(await exportJWK(pairs.RS256.publicKey));

const accept = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
    .map((alg) => [`signed with ${alg}`, token({ alg })]),
  ...['JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'application/AT+JWT', undefined]
    .map((typ) => [`typ is ${typ}`, token({ header: { typ } })]),
  ['kid is absent', token({ header: { kid: undefined } })],
  ['kid is absent, and one RSA key stands for six algorithms',
    token({ alg: 'PS384', header: { kid: undefined } })],
  ['a header with members that nobody knows', token({ header: { x5t: 'y', 'urn:mine': [1, { a: null }] } })],
  ['aud is a list', token({ claims: { aud: ['https://other.example', aud] } })],
  ['aud is a list of one', token({ claims: { aud: [aud] } })],
  ['exp, iat and nbf are floats',
    token({ claims: { exp: now + 600.25, iat: now - 0.5, nbf: now - 1.75 } })],
  ['exp in exponential form',
    raw(JSON.stringify(CLAIMS).replace(`"exp":${now + 600}`, `"exp":${(now + 600) / 1e9}e9`))],
  ['nbf within the leeway', token({ claims: { nbf: now + 30 } })],
  ['every letter escaped', raw(escaped(CLAIMS))],
  ['other alphabets, as they are', token({ claims: { name: 'Ådä 李 🦀 \u2028 \u0000 "\\' } })],
  ['white space around the members', raw(JSON.stringify(CLAIMS, null, '\t\r\n '))],
  ['nested claims', token({ claims: { a: { b: [[{ c: { exp: 'x', aud: 1 } }]] } } })],
];

const refuse = [
  ...['dpop+jwt', 'logout+jwt', 'secevent+jwt', 'application/jwk+json', ' at+jwt', '']
    .map((typ) => ['TokenType', `typ is ${JSON.stringify(typ)}`, token({ header: { typ } })]),
  ['UnsupportedHeader', 'crit of something that jose was told about',
    token({ header: { crit: ['urn:mine'], 'urn:mine': 1 }, options: { crit: { 'urn:mine': true } } })],
  ['UnsupportedHeader', 'crit of b64 although it says the default',
    token({ header: { crit: ['b64'], b64: true } })],
  ['UnsupportedHeader', 'the payload is signed unencoded', unencoded()],
  ['UnsupportedHeader', 'cty says that a token is inside', raw(JSON.stringify(CLAIMS), { cty: 'JWT' })],
  ['NotAJwt', 'not signed', new UnsecuredJWT(CLAIMS).encode()],
  ['Algorithm', 'not signed, and something stands for the signature', `${new UnsecuredJWT(CLAIMS).encode()}AAAA`],
  ['Algorithm', 'the public key taken for a secret', confused()],
  ['Encrypted', 'encrypted to the public key', encrypted()],
  ['UnknownKey', 'kid of nobody', token({ header: { kid: 'nobody' } })],
  ['Signature', 'by a stranger under our kid', token({ key: stranger.privateKey })],
  ['Signature', 'by a stranger who brings the key along',
    token({ key: stranger.privateKey, header: { kid: undefined, jwk: await exportJWK(stranger.publicKey) } })],
  ['KeyAlgorithm', 'kid of a key of another kind', token({ header: { kid: 'RS256' } })],
  ['Signature', 'a bit of the signature turned', tampered()],
  ['Signature', "another token's signature", swapped()],
  ['Audience', 'aud is another', token({ claims: { aud: 'https://other.example' } })],
  ['Audience', 'aud is a list of others', token({ claims: { aud: ['https://other.example', `${aud}/`] } })],
  ['Audience', 'aud is an empty list', token({ claims: { aud: [] } })],
  ['Audience', 'aud is absent', token({ claims: { aud: undefined } })],
  ['MalformedClaims', 'aud is a list with a number in it', token({ claims: { aud: [aud, 1] } })],
  ['UnknownIssuer', 'iss with a slash at its end', token({ claims: { iss: `${iss}/` } })],
  ['UnknownIssuer', 'iss is absent', token({ claims: { iss: undefined } })],
  ['Expired', 'exp is a float that is over', token({ claims: { exp: now - 90.5 } })],
  ['MalformedClaims', 'exp is absent', token({ claims: { exp: undefined } })],
  ['MalformedClaims', 'exp is a string', raw(JSON.stringify({ ...CLAIMS, exp: `${now + 600}` }))],
  ['MalformedClaims', 'exp is beyond all numbers',
    raw(JSON.stringify(CLAIMS).replace(`"exp":${now + 600}`, '"exp":1e999'))],
  ['NotYetValid', 'nbf is to come', token({ claims: { nbf: now + 300 } })],
  ['IssuedInTheFuture', 'iat is to come', token({ claims: { iat: now + 300 } })],
  ['KeyBound', 'bound to a key', token({ claims: { cnf: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } } })],
  ['NotAnAccessToken', 'an ID token', token({ claims: { nonce: 'n', at_hash: 'h', auth_time: now } })],
  ['NotAnAccessToken', 'a logout token under a usual typ',
    token({ claims: { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } } })],
  ['MalformedClaims', 'aud twice, once escaped',
    raw(JSON.stringify({ ...CLAIMS, aud: 'https://other.example' }).replace(/}$/, `,"\\u0061ud":"${aud}"}`))],
  ['MalformedClaims', 'half of a surrogate pair', raw(JSON.stringify(CLAIMS).replace('ada', '\\ud83e'))],
  ['MalformedClaims', 'a list', raw(JSON.stringify([CLAIMS]))],
  ['MalformedClaims', 'a byte order mark before it', raw(`\ufeff${JSON.stringify(CLAIMS)}`)],
];

/// What jose itself says, asked for the same as the gate.
async function joseAccepts(text) {
  const options = { issuer: iss, audience: aud, requiredClaims: ['exp'], clockTolerance: 60 };
  return jwtVerify(text, createLocalJWKSet(jwks), options).then(() => true, () => false);
}

const cases = [];
for (const [refusal, name, made] of [...accept.map((entry) => [null, ...entry]), ...refuse]) {
  const text = await made;
  cases.push({ name, token: text, refusal, accepted_by_jose: await joseAccepts(text) });
}
console.log(JSON.stringify({ iss, aud, jwks, cases }));
