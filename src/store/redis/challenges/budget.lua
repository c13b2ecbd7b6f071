-- Budgets, as src/model/limit.rs counts them: the instants of past events, oldest first, as decimals
-- with commas between them.

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
