-- Drops letters that were due before an instant: their codes are over, and nobody could read them.
-- KEYS: outbox, letters. ARGV: the instant. Says how many.

local stale = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, 1000)
if #stale > 0 then
  redis.call('ZREM', KEYS[1], unpack(stale))
  redis.call('HDEL', KEYS[2], unpack(stale))
end
return #stale
