-- The value is stored under the next version, if the key is at the expected one ('': at any). Gives {stored, version}:
-- the new version, or the one that was found (0: absent).
-- KEYS: data, versions, keys, version. ARGV: key, value, expected.
local found = redis.call('HGET', KEYS[2], ARGV[1]) or '0'
if ARGV[3] ~= '' and ARGV[3] ~= found then
  return {0, tonumber(found)}
end
local version = redis.call('INCR', KEYS[4])
local text = string.format('%.0f', version)
redis.call('HSET', KEYS[1], ARGV[1], text .. ' ' .. ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], text)
redis.call('ZADD', KEYS[3], 0, ARGV[1])
return {1, version}
