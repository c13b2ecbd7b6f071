-- updated, user
local updated, user = tonumber(ARGV[1]), ARGV[2]

for digest, session in pairs(load().sessions) do
  -- Two changes may be carried in the wrong order; the later one stays.
  if session.updated < updated then
    session.updated, session.user = updated, user
    redis.call('HSET', KEYS[1], 's' .. digest, pack(session))
  end
end
