-- Before each script: the row, and the time of the server. No other clock is asked. Times are microseconds.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local generation, sealed, written_at, fence, lease_until, claimant, interrupted, ended = unpack(redis.call('HMGET',
    KEYS[1], 'generation', 'sealed', 'written_at', 'fence', 'lease_until', 'claimant', 'interrupted', 'ended'))

-- Lua would write a large number with an exponent.
local function decimal(number) return string.format('%.0f', number) end

local function live(word, ...)
    return { word, tonumber(generation), math.max(now - written_at, 0), sealed, ... }
end
