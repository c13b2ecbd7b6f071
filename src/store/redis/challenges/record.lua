-- The record of src/model/challenge.rs: one hash, whose form is never looked into here.

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
