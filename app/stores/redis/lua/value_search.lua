-- Gives keys between two bounds (as ZRANGE BYLEX takes them), in order, each followed by its version.
-- KEYS: versions, keys. ARGV: first, last, limit.
local rows = {}
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])) do
  rows[#rows + 1] = key
  rows[#rows + 1] = redis.call('HGET', KEYS[1], key)
end
return rows
