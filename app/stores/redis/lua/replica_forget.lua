#!lua flags=allow-oom
-- The incarnation is remembered only as one that may not beat, and that only for so long.
-- KEYS: live, buried, forgotten. ARGV: incarnation, seconds, now.
-- include: clock
local now = store_time(ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], time_text(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', time_text(now - tonumber(ARGV[2])))
return 1
