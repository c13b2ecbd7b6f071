-- Puts a letter back, one failure more on its count.
-- KEYS: outbox, letters. ARGV: its id, when it is due again.

local failures, rest = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^(%d+)( .*)$')
if failures then
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%d', failures + 1) .. rest)
  redis.call('ZADD', KEYS[1], 'XX', ARGV[2], ARGV[1])
end
