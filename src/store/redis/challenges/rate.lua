-- Rates, as src/model/limit.rs counts them: one instant each.

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
