-- ARGV: time to remember in milliseconds, channel, notice
if not generation then return { 'over' } end
-- The tokens go first, also where memory is full.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'ended', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.pcall('PUBLISH', ARGV[2], ARGV[3])
return { 'ended' }
