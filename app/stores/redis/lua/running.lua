-- Gives the tenants that have sessions with an owner in some partitions, each followed by how many.
-- KEYS: the counts, one hash of each partition.
local totals, found = {}, {}
for _, key in ipairs(KEYS) do
  local counts = redis.call('HGETALL', key)
  for i = 1, #counts, 2 do totals[counts[i]] = (totals[counts[i]] or 0) + tonumber(counts[i + 1]) end
end
for tenant, total in pairs(totals) do
  table.insert(found, tenant)
  table.insert(found, total)
end
return found
