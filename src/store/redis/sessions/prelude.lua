-- What every step on sessions begins with. KEYS[1] is the hash of one user: 'g' is the fence, 's' and
-- a digest a session, 'p' and a digest an earlier token of one.
--
-- Instants and spans are microseconds, which a double holds exactly; the time is an argument like any
-- other, and TTLs only sweep. A step reads first and writes last.

-- Redis would write a large number with an exponent.
local function text(number)
  return string.format('%.0f', number)
end

-- A session: what steps go by in front, then two texts that are opaque here.
local function read(packed)
  local expires, signed_in, used, generation, id, updated, user, rest = string.match(
    packed, '^(%-?%d+)\t(%-?%d+)\t(%-?%d+)\t(%-?%d+)\t([^\t]+)\t(%-?%d+)\t([^\t]+)\t(.+)$')
  return expires and {
    expires = tonumber(expires), signed_in = tonumber(signed_in), used = tonumber(used),
    generation = tonumber(generation), id = id, updated = tonumber(updated), user = user, rest = rest,
  }
end

local function pack(session)
  return table.concat({
    text(session.expires), text(session.signed_in), text(session.used), text(session.generation),
    session.id, text(session.updated), session.user, session.rest,
  }, '\t')
end

local function is_live(session, now)
  return now < session.expires
end

-- `SessionRules::expires_at`
local function expires_at(signed_in, used, idle, lifetime)
  return math.min(used + idle, signed_in + lifetime)
end

-- Everything there is of the user: the fence, sessions and earlier tokens by their digests.
local function load()
  local all = {sessions = {}, earlier = {}}
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    local kind, digest, value = string.sub(fields[i], 1, 1), string.sub(fields[i], 2), fields[i + 1]
    if kind == 'g' then
      all.fence = tonumber(value)
    elseif kind == 's' then
      all.sessions[digest] = read(value)
    elseif kind == 'p' then
      local replaced, id = string.match(value, '^(%-?%d+)\t(.+)$')
      all.earlier[digest] = replaced and {replaced = tonumber(replaced), id = id}
    end
  end
  return all
end

-- The session of an id, with its digest.
local function by_id(all, id)
  for digest, session in pairs(all.sessions) do
    if session.id == id then
      return session, digest
    end
  end
end

-- Takes a session away, with the earlier tokens that lead to it.
local function forget(all, digest)
  local id = all.sessions[digest].id
  all.sessions[digest] = nil
  redis.call('HDEL', KEYS[1], 's' .. digest)
  for earlier, token in pairs(all.earlier) do
    if token.id == id then
      all.earlier[earlier] = nil
      redis.call('HDEL', KEYS[1], 'p' .. earlier)
    end
  end
end

-- Takes away what is over already. Nothing depends on when.
local function tidy(all, now)
  for digest, session in pairs(all.sessions) do
    if not is_live(session, now) then
      forget(all, digest)
    end
  end
end

local function raise_fence(all, generation)
  if not all.fence or all.fence < generation then
    redis.call('HSET', KEYS[1], 'g', text(generation))
  end
end
