-- What every step on challenges begins with: the arithmetic of src/model/limit.rs and the record of
-- src/model/challenge.rs. Instants and spans are microseconds, which a double holds exactly; the time
-- is an argument like any other, and TTLs only sweep.
--
-- A step reads first and writes last. Redis refuses a script with a `#!lua` line before it starts
-- where it could not write to its end, so that a step is done whole or not at all.

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

-- Budgets: the instants of past events, oldest first, as decimals with commas between them.

local function instants(key)
  local past = {}
  for at in string.gmatch(redis.call('GET', key) or '', '-?%d+') do
    past[#past + 1] = tonumber(at)
  end
  return past
end

local function keep_instants(key, past, budget)
  local texts = {}
  for i, at in ipairs(past) do
    texts[i] = text(at)
  end
  redis.call('SET', key, table.concat(texts, ','), 'PX', ttl(budget.window))
end

-- Of the window that ends now: neither what is older, nor what a clock that was set back left behind.
local function is_of_window(budget, at)
  return now - budget.window < at and at <= now + budget.window
end

-- `Budget::wait`
local function budget_wait(budget, past)
  local recent = {}
  for _, at in ipairs(past) do
    if is_of_window(budget, at) then
      -- What lies ahead comes from another machine's clock, and counts as now.
      recent[#recent + 1] = math.min(at, now)
    end
  end
  local excess = #recent + 1 - budget.max
  if excess < 1 then
    return nil
  end
  local leaving = recent[excess] or now
  return math.max(budget.window - (now - leaving), 1)
end

-- `Instants::note`
local function noted(past, budget)
  local kept = { now }
  for _, at in ipairs(past) do
    if is_of_window(budget, at) then
      kept[#kept + 1] = at
    end
  end
  table.sort(kept)
  local latest = {}
  for i = math.max(#kept - budget.max, 0) + 1, #kept do
    latest[#latest + 1] = kept[i]
  end
  return latest
end

-- Rates: one instant each.

-- `Pace::admit`: the instant to keep, or nil and how long to wait.
local function admitted(pace, kept)
  local full = now + pace.period
  if not kept or kept > full + pace.period then
    kept = now
  end
  local next = math.min(math.max(kept, now), full) + pace.spacing
  if next - now > pace.room then
    return nil, next - now - pace.room
  end
  return next
end

local function arrival(key)
  return tonumber(redis.call('GET', key) or nil)
end

local function keep_arrival(key, at, pace)
  -- It says something for one more period after the arrival itself: that the client was here.
  redis.call('SET', key, text(at), 'PX', ttl(at - now + pace.period))
end

-- Ceilings of the service: nil where limits are switched off.

local function service_wait(ceiling, kept, yields)
  if not ceiling then
    return nil
  end
  local _, wait = admitted(yields and ceiling.yielding or ceiling.full, kept)
  return wait
end

local function count_service(ceiling, key, kept)
  local next = ceiling and admitted(ceiling.full, kept)
  if next then
    keep_arrival(key, next, ceiling.full)
  end
end

-- Records: one hash each. Its form is never looked into here.

local function load(key)
  local flat = redis.call('HGETALL', key)
  if #flat == 0 then
    return nil
  end
  local record = {}
  for i = 1, #flat, 2 do
    record[flat[i]] = flat[i + 1]
  end
  for _, name in ipairs({ 'version', 'tries', 'expires_at', 'claimed_until' }) do
    record[name] = tonumber(record[name])
  end
  -- An end beyond now + lifetime comes from a clock that was set back; no code lives longer than that.
  record.expires_at = math.min(record.expires_at, now + rules.lifetime)
  return record
end

-- Writes some of a record's fields, and says what stands in it now.
local function keep(key, record, fields)
  local flat = {}
  for name, value in pairs(fields) do
    record[name] = value
    flat[#flat + 1] = name
    flat[#flat + 1] = type(value) == 'number' and text(value) or value
  end
  redis.call('HSET', key, unpack(flat))
end

local function is_live(record)
  return now < record.expires_at
end

-- `Challenge::is_pending`
local function is_pending(record)
  return is_live(record) and record.form and record.state ~= 'spent'
end

-- `Challenge::is_free`
local function is_free(record)
  if record.state == 'claimed' then
    local till = record.claimed_until
    -- Clamped: a claim lasts ten seconds whatever the clocks did in between.
    return now >= till or now + rules.claim < till
  end
  return record.state == 'open'
end

-- Whoever was refused while a form was pending may be the owner: nobody can say whose form it is.
local function contest(key, record)
  if record and is_pending(record) and record.contested == '0' then
    keep(key, record, { contested = '1' })
  end
end

-- How long the next code for an address has to wait, by every budget that it would count in.
local function sends_wait(record, sent, mailed)
  if not rules.enabled then
    return nil
  end
  -- Whoever used the code need not wait for the gap.
  local used_here = record and record.state == 'spent' and record.spent_by == asked.client
  local gap = not used_here and budget_wait(rules.sends_apart, sent) or nil
  local mailbox = longer(budget_wait(rules.mailbox_hour, mailed), budget_wait(rules.mailbox_day, mailed))
  return longer(longer(gap, budget_wait(rules.sends, sent)), mailbox)
end
