-- Gives {incarnation, count, seconds since its beat} of each that lives.
-- KEYS: live. ARGV: now.
-- include: clock
local now = store_time(ARGV[1])
local rows = redis.call('HGETALL', KEYS[1])
local beats = {}
for place = 1, #rows, 2 do
  local count, at = rows[place + 1]:match('^(%d+) (.+)$')
  beats[#beats + 1] = {rows[place], tonumber(count), time_text(math.max(0, now - tonumber(at)))}
end
return beats
