#!lua flags=allow-oom
-- The incarnation is buried, if its newest beat has that count; gives whether it is.
-- KEYS: live, buried. ARGV: incarnation, count.
local incarnation = ARGV[1]
local newest = redis.call('HGET', KEYS[1], incarnation)
if newest and newest:match('^%d+') == ARGV[2] then
  redis.call('HDEL', KEYS[1], incarnation)
  redis.call('SADD', KEYS[2], incarnation)
end
return redis.call('SISMEMBER', KEYS[2], incarnation)
