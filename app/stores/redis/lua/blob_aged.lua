-- Gives blobs of the partition that nobody has touched for so long, the longest untouched first.
-- KEYS: ages. ARGV: seconds, limit, now.
-- include: clock
local oldest = time_text(store_time(ARGV[3]) - tonumber(ARGV[1]))
return redis.call('ZRANGE', KEYS[1], '-inf', oldest, 'BYSCORE', 'LIMIT', 0, ARGV[2])
