-- All of the client's networks have to admit it, and then all of them count it.
-- KEYS: its networks, closest first. asked: now, paces (of the same networks).
-- Says how long to wait (0: go on), and whether the closest network was seen in the present window.

local next, known = {}, 0
for i, key in ipairs(KEYS) do
  local kept, pace, wait = arrival(key), asked.paces[i], nil
  -- The closest network only: that a neighbour was here says little.
  if i == 1 and kept and kept > now - pace.period then
    known = 1
  end
  next[i], wait = admitted(pace, kept)
  if wait then
    return { wait, known }
  end
end
for i, key in ipairs(KEYS) do
  keep_arrival(key, next[i], asked.paces[i])
end
return { 0, known }
