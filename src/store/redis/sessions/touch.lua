-- now, digest, idle, lifetime, how far ahead a use may lie, milliseconds
local now, digest = tonumber(ARGV[1]), ARGV[2]
local idle, lifetime, ahead = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local stay = ARGV[6]

local packed = redis.call('HGET', KEYS[1], 's' .. digest)
local session = packed and read(packed)
-- `Session::was_used_before`
if session and is_live(session, now) and (session.used < now or session.used > now + ahead) then
  session.used = now
  session.expires = expires_at(session.signed_in, now, idle, lifetime)
  redis.call('HSET', KEYS[1], 's' .. digest, pack(session))
  redis.call('PEXPIRE', KEYS[1], stay)
end
