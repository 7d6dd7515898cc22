-- The bytes are stored, once, and were touched now.
-- KEYS: data, ages. ARGV: bytes, blob, now.
-- include: clock
redis.call('SET', KEYS[1], ARGV[1], 'NX')
redis.call('ZADD', KEYS[2], time_text(store_time(ARGV[3])), ARGV[2])
return 1
