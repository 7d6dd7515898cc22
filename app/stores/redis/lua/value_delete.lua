-- The key is absent; gives whether it was there.
-- KEYS: data, versions, keys. ARGV: key.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('HDEL', KEYS[2], ARGV[1])
