-- Gives how many sessions of each tenant, in the order of ARGV, have an owner in some partitions.
-- KEYS: the counts, one hash of each partition. ARGV: tenants.
local totals = {}
for i, tenant in ipairs(ARGV) do
  totals[i] = 0
  for _, key in ipairs(KEYS) do totals[i] = totals[i] + (redis.call('HGET', key, tenant) or 0) end
end
return totals
