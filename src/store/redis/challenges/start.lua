-- What every step on challenges begins with: the rules that it goes by, and what is asked of it.
-- Instants and spans are microseconds, which a double holds exactly; the time is an argument like any
-- other, and TTLs only sweep.
--
-- A step is one of these files after those whose words it uses. It reads first and writes last: Redis
-- refuses it before it starts where it could not write to its end, so it is done whole or not at all.

local rules = cjson.decode(ARGV[1])
local asked = cjson.decode(ARGV[2])
local now = asked.now

-- How much longer than what it holds a key stays, in milliseconds: clocks may differ by as much.
local SLACK = 60 * 60 * 1000

-- Redis would write a large number with an exponent.
local function text(number)
  return string.format('%.0f', number)
end

local function ttl(span)
  return text(math.ceil(span / 1000) + SLACK)
end

-- The later of two waits, either of which may be none.
local function longer(a, b)
  if a and b then
    return math.max(a, b)
  end
  return a or b
end
