-- Gives the sessions, each followed by its nonce, that an incarnation owns in some partitions.
-- KEYS: its sets, one of each partition.
local found = {}
if redis.call('EXISTS', unpack(KEYS)) == 0 then return found end
for _, key in ipairs(KEYS) do
  for _, text in ipairs(redis.call('HGETALL', key)) do table.insert(found, text) end
end
return found
