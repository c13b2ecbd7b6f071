-- How long a code for the address would have to wait, counting nothing.
-- KEYS: record, sends, mailbox, service. asked: now, client, contests.

local record = load(KEYS[1])
local full = service_wait(rules.service_requests, arrival(KEYS[4]), true)
local wait = longer(full, sends_wait(record, instants(KEYS[2]), instants(KEYS[3])))
if wait and asked.contests then
  contest(KEYS[1], record)
end
return wait
