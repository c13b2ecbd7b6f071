-- Spends a claimed code for good. Says 1 if there was a claim to finish.
-- KEYS: record. asked: now, id, client.

local record = load(KEYS[1])
if not record or record.id ~= asked.id or record.state ~= 'claimed' then
  return 0
end
keep(KEYS[1], record, { state = 'spent', spent_by = asked.client })
return 1
