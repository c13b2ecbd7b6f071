-- Counts a password try, if one is left. Says how long to wait if not.
-- KEYS: passwords. asked: now.

local past, budget = instants(KEYS[1]), rules.password_tries
local wait = rules.enabled and budget_wait(budget, past) or nil
if not wait then
  keep_instants(KEYS[1], noted(past, budget), budget)
end
return wait
