-- ARGV: fence, sealed, ttl in milliseconds, channel, notice
if not generation or not lease_until or fence ~= ARGV[1] then return { 'fenced' } end
-- First what needs no memory: a script that has written may write on where memory is full, and a new token must be kept.
redis.call('HDEL', KEYS[1], 'lease_until', 'interrupted')
redis.call('HSET', KEYS[1], 'sealed', ARGV[2], 'written_at', decimal(now))
redis.call('HINCRBY', KEYS[1], 'generation', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.pcall('PUBLISH', ARGV[4], ARGV[5])
return { 'stored' }
