-- now, which ('one', 'all but' or 'below'), of what (an id or a generation), milliseconds
local now, which, what, stay = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]

local all = load()
if which == 'below' then
  raise_fence(all, tonumber(what))
  redis.call('PEXPIRE', KEYS[1], stay)
end
-- What is over already is not ended by this.
tidy(all, now)
local ended = 0
for digest, session in pairs(all.sessions) do
  local ends = false
  if which == 'one' then
    ends = session.id == what
  elseif which == 'all but' then
    ends = session.id ~= what
  else
    ends = session.generation < tonumber(what)
  end
  if ends then
    forget(all, digest)
    ended = ended + 1
  end
end
return ended
