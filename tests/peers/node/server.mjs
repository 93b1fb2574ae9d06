// The gate that a Node.js backend would write: jose with a remote key set, in a hook of Fastify.
import Fastify from 'fastify'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const keys = createRemoteJWKSet(new URL(process.env.PEERS_JWKS_URI))
const rules = { issuer: process.env.PEERS_ISSUER, audience: process.env.PEERS_AUDIENCE }

const app = Fastify()
app.decorateRequest('user', null)
app.addHook('onRequest', async (request, reply) => {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'bearer' || !token) {
    return reply.code(401).header('www-authenticate', 'Bearer realm="authenticated"').send()
  }
  try {
    request.user = (await jwtVerify(token, keys, rules)).payload
  } catch {
    return reply.code(401).header('www-authenticate', 'Bearer realm="authenticated", error="invalid_token"').send()
  }
})
app.get('/me', async (request, reply) => reply.send())

console.log(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).host)
process.stdin.resume().on('end', () => process.exit(0))
