-- ARGV: generation, lease in microseconds, claimant
if ended then return { 'ended' } end
if not generation then return { 'unknown' } end
if generation ~= ARGV[1] then return live('moved') end
if claimant == ARGV[3] then
    -- This very claim again: its answer was lost. What comes after it was released came late, and nobody waits for it.
    if not lease_until then return { 'held', 0 } end
else
    if lease_until and now < tonumber(lease_until) then return { 'held', lease_until - now } end
    if lease_until then interrupted = '1' end
    -- The time, so that it is greater than that of a row which was forgotten.
    fence = decimal(math.max(now, (fence or 0) + 1))
end
redis.call('HSET', KEYS[1], 'fence', fence, 'claimant', ARGV[3], 'lease_until', decimal(now + ARGV[2]))
if interrupted then redis.call('HSET', KEYS[1], 'interrupted', interrupted) end
return live('granted', tonumber(fence), interrupted and 1 or 0)
