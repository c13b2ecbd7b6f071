-- Leases letters that are still due.
-- KEYS: outbox, letters, then the record of each. ARGV: now, the end of the lease, then the id of each.
-- Says of each that was leased its entry, and its record as it stands.

local outbox, letters = KEYS[1], KEYS[2]
local taken = {}
for i = 3, #ARGV do
  local due, entry = redis.call('ZSCORE', outbox, ARGV[i]), redis.call('HGET', letters, ARGV[i])
  if due and tonumber(due) <= tonumber(ARGV[1]) and entry then
    redis.call('ZADD', outbox, 'XX', ARGV[2], ARGV[i])
    taken[#taken + 1] = { entry, redis.call('HGETALL', KEYS[i]) }
  end
end
return taken
