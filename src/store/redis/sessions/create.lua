-- now, generation, digest, session, digest that it replaces or nothing, most at once, milliseconds
local now, generation, digest, session = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local replaced, most, stay = ARGV[5], tonumber(ARGV[6]), ARGV[7]

local all = load()
if all.fence and generation < all.fence then
  return 0
end
raise_fence(all, generation)
tidy(all, now)
-- Another tab may have refreshed the token that this sign-in arrived with.
if not all.sessions[replaced] and all.earlier[replaced] then
  local _, successor = by_id(all, all.earlier[replaced].id)
  replaced = successor
end
if replaced and all.sessions[replaced] then
  forget(all, replaced)
end
local nearest_end = {}
for other in pairs(all.sessions) do
  nearest_end[#nearest_end + 1] = other
end
table.sort(nearest_end, function(a, b)
  return all.sessions[a].expires < all.sessions[b].expires
end)
for i = 1, #nearest_end + 1 - most do
  if nearest_end[i] then
    forget(all, nearest_end[i])
  end
end
redis.call('HSET', KEYS[1], 's' .. digest, session)
redis.call('PEXPIRE', KEYS[1], stay)
return 1
