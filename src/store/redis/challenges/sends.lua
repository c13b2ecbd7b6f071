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
