#!lua flags=allow-oom
-- The session names the blob, which may come later; or it has let go of the name it had. Touched now, either way.
-- KEYS: names, ages. ARGV: session, 'held' or 'released', blob, now.
-- include: clock
if ARGV[2] == 'released' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], time_text(store_time(ARGV[4])), ARGV[3])
return 1
