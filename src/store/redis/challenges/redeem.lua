-- Compares, counts and spends.
-- KEYS: record, guesses, service. asked: now, client, challenge (if one was named), checks (by key id),
-- is_long, yields, admits ('owner', 'form', 'nobody'), account (the one that has the address).

local record_key, guesses_key, service_key = unpack(KEYS)
local record, wrong = load(record_key), instants(guesses_key)

if not asked.is_long then
  local wait = budget_wait(rules.guesses, wrong)
  if wait then
    return { 'too_many', wait, {} }
  end
  local kept = arrival(service_key)
  wait = service_wait(rules.service_guesses, kept, asked.yields)
  if wait then
    return { 'full', wait, {} }
  end
  count_service(rules.service_guesses, service_key, kept)
end

-- `Challenge::guessed`
if not record
  or not is_live(record)
  or (asked.challenge and asked.challenge ~= record.id)
  or (record.tries >= rules.tries_max and not asked.is_long)
then
  return { 'gone', 0, {} }
end
local check = asked.checks[record.key_id]
if not check then
  return { 'key_unknown', 0, {} }
end

local function is_admitted()
  if asked.admits == 'form' then
    return record.form and (not asked.account or asked.account == record.user)
  end
  return asked.admits == 'owner'
end

-- Both are keyed digests: how far they agree tells nothing of the code to who cannot make one, so a
-- plain comparison will do.
local right = asked.is_long and record.long_check or record.check
if check == right and is_admitted() and is_free(record) then
  if record.form then
    keep(record_key, record, {
      expires_at = record.expires_at,
      state = 'claimed',
      claimed_until = now + rules.claim,
    })
  else
    keep(record_key, record, {
      expires_at = record.expires_at,
      state = 'spent',
      spent_by = asked.client,
    })
  end
  return { 'accepted', 0, redis.call('HGETALL', record_key) }
end
local tries = record.tries
if not asked.is_long then
  tries = tries + 1
  keep(record_key, record, { expires_at = record.expires_at, tries = tries })
  keep_instants(guesses_key, noted(wrong, rules.guesses), rules.guesses)
end
return { 'wrong', math.max(rules.tries_max - tries, 0), {} }
