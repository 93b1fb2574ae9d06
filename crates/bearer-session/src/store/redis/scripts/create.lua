-- ARGV: sealed, ttl in milliseconds
if ended then return { 'ended' } end
if generation then return live('live') end
redis.call('HSET', KEYS[1], 'generation', '0', 'sealed', ARGV[1], 'written_at', decimal(now))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 'unknown' }
