-- Strikes letters out.
-- KEYS: outbox, letters. ARGV: their ids.

redis.call('ZREM', KEYS[1], unpack(ARGV))
redis.call('HDEL', KEYS[2], unpack(ARGV))
