-- The head, and up to ARGV[2] entries after seq ARGV[1]; without that seq, the newest checkpoint of fold version
-- ARGV[3] and the whole tail.
-- KEYS: head, log, checkpoints.
-- include: session

local packed = redis.call('GET', HEAD)
if not packed then return {} end
if ARGV[1] ~= '' then
  return {packed, 0, '', redis.call('LRANGE', LOG, ARGV[1], ARGV[1] + ARGV[2] - 1)}
end
local start, body = checkpoint(tonumber(ARGV[3]))
return {packed, start, body, redis.call('LRANGE', LOG, start, -1)}
