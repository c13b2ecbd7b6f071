-- Forgets what is kept under KEYS.

redis.call('DEL', unpack(KEYS))
