-- now, generation, digest shown, idle, lifetime, grace, most earlier tokens, milliseconds, successors
local now, generation, old = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local idle, lifetime, grace = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local most, stay, first = tonumber(ARGV[7]), ARGV[8], 9

local all = load()
if all.fence and generation < all.fence then
  return {'fenced', 0, false}
end

local session = all.sessions[old]
if session then
  if not is_live(session, now) then
    return {'nothing', 0, false}
  end
  -- Only for who has a live token: a stranger's guess must not cost a write.
  raise_fence(all, generation)
  -- It keeps its own generation: what is about to end those below a higher one ends it too.
  session.used = now
  session.expires = expires_at(session.signed_in, now, idle, lifetime)
  -- Of many earlier tokens the oldest are forgotten.
  local tokens = {}
  for digest, token in pairs(all.earlier) do
    if token.id == session.id then
      tokens[#tokens + 1] = digest
    end
  end
  table.sort(tokens, function(a, b)
    return all.earlier[a].replaced < all.earlier[b].replaced
  end)
  for i = 1, #tokens + 1 - most do
    redis.call('HDEL', KEYS[1], 'p' .. tokens[i])
  end
  local packed = pack(session)
  redis.call('HDEL', KEYS[1], 's' .. old)
  redis.call('HSET', KEYS[1], 's' .. ARGV[first], packed, 'p' .. old, text(now) .. '\t' .. session.id)
  redis.call('PEXPIRE', KEYS[1], stay)
  return {'done', 0, packed}
end

local token = all.earlier[old]
if not token then
  return {'nothing', 0, false}
end
-- `Predecessor::is_in_grace`
if math.abs(now - token.replaced) <= grace then
  for i = first, #ARGV do
    local successor = all.sessions[ARGV[i]]
    if successor and is_live(successor, now) then
      return {'done', i - first, pack(successor)}
    end
  end
  -- Its successor was refreshed too, all within seconds: whoever holds that one goes on.
  return {'nothing', 0, false}
end
local stolen, digest = by_id(all, token.id)
if stolen and is_live(stolen, now) then
  forget(all, digest)
  return {'reused', 0, pack(stolen)}
end
return {'nothing', 0, false}
