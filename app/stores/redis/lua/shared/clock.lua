-- Gives the store's time in seconds: what the caller says (tests), or, for '', this server's clock.
local function store_time(said)
  if said ~= '' then
    return tonumber(said)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Gives a time as text, to the microsecond: Lua's own text of a number is too short for it.
local function time_text(seconds)
  return string.format('%.6f', seconds)
end
