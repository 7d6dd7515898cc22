#!lua flags=allow-oom
-- An aged blob is settled by what its sessions' own sets say of its names; gives whether it was there and is gone.
--
-- Nothing happens if it was touched since. Of the names that no session holds, one that was released is gone, and one
-- that was not (its session's deletion was cut short) counts as released from now on.
-- KEYS: data, names, ages. ARGV: blob, seconds, now, whether a session holds a name ('1', '0'), stale names…
-- include: clock
local now = store_time(ARGV[3])
local touched = redis.call('ZSCORE', KEYS[3], ARGV[1])
if not touched or tonumber(touched) > now - tonumber(ARGV[2]) then
  return 0
end
local keep = ARGV[4] == '1'
for place = 5, #ARGV do
  local state = redis.call('HGET', KEYS[2], ARGV[place])
  if state == 'released' then
    redis.call('HDEL', KEYS[2], ARGV[place])
  elseif state then
    redis.call('HSET', KEYS[2], ARGV[place], 'released')
    keep = true
  end
end
if keep then
  redis.call('ZADD', KEYS[3], time_text(now), ARGV[1])
  return 0
end
if redis.call('HLEN', KEYS[2]) > 0 then
  return 0
end
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('UNLINK', KEYS[1])
