-- ARGV: fence, channel, notice
if not generation or not lease_until or fence ~= ARGV[1] then return { 'over' } end
redis.call('HDEL', KEYS[1], 'lease_until')
redis.pcall('PUBLISH', ARGV[2], ARGV[3])
return { 'released' }
