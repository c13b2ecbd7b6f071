-- Counts, makes or renews the record, and writes the letter to the outbox: all or nothing.
-- KEYS: record, sends, mailbox, passwords, service, outbox, letters.
-- asked: now, client, yields, right_password_at, id, secret (fields), form and user (with a form only),
-- letter_id, letter, leased_until.

local record_key, sends_key, mailbox_key, passwords_key, service_key, outbox_key, letters_key = unpack(KEYS)
local record = load(record_key)
local sent, mailed, kept = instants(sends_key), instants(mailbox_key), arrival(service_key)

-- A right password's try is given back, whatever becomes of the rest.
if asked.right_password_at then
  local tries = instants(passwords_key)
  for i = #tries, 1, -1 do
    if tries[i] == asked.right_password_at then
      table.remove(tries, i)
      break
    end
  end
  keep_instants(passwords_key, tries, rules.password_tries)
end

local full = service_wait(rules.service_requests, kept, asked.yields)
local wait = longer(full, sends_wait(record, sent, mailed))
if wait then
  if asked.form then
    contest(record_key, record)
  end
  return { 'too_soon', wait, {} }
end
count_service(rules.service_requests, service_key, kept)
sent, mailed = noted(sent, rules.sends), noted(mailed, rules.mailbox_day)
keep_instants(sends_key, sent, rules.sends)
keep_instants(mailbox_key, mailed, rules.mailbox_day)

-- `Challenge::asked`
local is_worth_resending = record
  and is_live(record)
  and record.expires_at - now >= rules.resent_with_at_least
  and record.tries < rules.tries_max
if not asked.form and is_worth_resending then
  local renewed = { expires_at = record.expires_at }
  if record.state == 'spent' then
    for name, value in pairs(asked.secret) do
      renewed[name] = value
    end
    renewed.version, renewed.state = record.version + 1, 'open'
    -- The form became an account; its code must not make it another.
    redis.call('HDEL', record_key, 'form', 'user')
    record.form, record.user = nil, nil
  end
  keep(record_key, record, renewed)
elseif not asked.form and record and is_pending(record) then
  -- The form goes on under a new code: whoever guessed its tries away, or came late, must not take it
  -- from the one who filled it in.
  local renewed = asked.secret
  renewed.version, renewed.expires_at = record.version + 1, now + rules.lifetime
  renewed.tries, renewed.state = 0, 'open'
  keep(record_key, record, renewed)
else
  local made = asked.secret
  made.id, made.version, made.expires_at = asked.id, 0, now + rules.lifetime
  made.tries, made.state = 0, 'open'
  made.contested = asked.form and record and is_pending(record) and '1' or '0'
  made.form, made.user = asked.form, asked.user
  record = {}
  redis.call('DEL', record_key)
  keep(record_key, record, made)
end
redis.call('PEXPIRE', record_key, ttl(record.expires_at - now))

-- Which code a letter is for is known only here.
local entry = '0 ' .. record.id .. ' ' .. text(record.version) .. ' ' .. asked.letter
redis.call('ZADD', outbox_key, text(asked.leased_until), asked.letter_id)
redis.call('HSET', letters_key, asked.letter_id, entry)
-- A letter is overdue at most for as long as a code lives.
redis.call('PEXPIRE', outbox_key, ttl(rules.lifetime + rules.lifetime))
redis.call('PEXPIRE', letters_key, ttl(rules.lifetime + rules.lifetime))

return { 'sent', sends_wait(record, sent, mailed) or 0, redis.call('HGETALL', record_key) }
