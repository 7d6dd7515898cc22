#!lua flags=allow-oom
-- The incarnation has beaten now; gives 0, and changes nothing, if it was buried or forgotten.
-- KEYS: live, buried, forgotten. ARGV: incarnation, now.
-- include: clock
local incarnation = ARGV[1]
if redis.call('SISMEMBER', KEYS[2], incarnation) == 1 or redis.call('ZSCORE', KEYS[3], incarnation) then
  return 0
end
local newest = redis.call('HGET', KEYS[1], incarnation)
local count = newest and tonumber(newest:match('^%d+')) or 0
redis.call('HSET', KEYS[1], incarnation, string.format('%d %s', count + 1, time_text(store_time(ARGV[2]))))
return 1
