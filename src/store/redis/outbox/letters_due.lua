-- Letters whose lease ran out, oldest first, skipping some; leases none.
-- KEYS: outbox, letters. ARGV: now, how many to skip, the most to tell.
-- Says of each its id, when it was due, and its entry.

local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
local due = {}
for i = 1, #found, 2 do
  local entry = redis.call('HGET', KEYS[2], found[i]) or ''
  due[#due + 1] = { found[i], found[i + 1], entry }
end
return due
