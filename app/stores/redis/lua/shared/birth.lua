-- Gives the head of a log that begins with this script, or nil and why none may begin.
--
-- A session is in its user's lists before it is anywhere else. Where they are at hand (KEYS[12], KEYS[13]), it is listed
-- here. Where they are not, the first answer tells the caller the time, and the log begins when the caller comes again
-- with it; a list forgets what did not come true after an hour, so whoever slept for long has to begin anew.
local CREATION_SECONDS = 600

local function begin(ask, now)
  if redis.call('EXISTS', KEYS[11]) == 1 then return nil, {'erased'} end
  if ask.place then
    local member = struct.pack('>d', now) .. ask.place
    for list = 12, 13 do redis.call('ZADD', KEYS[list], 0, member) end
    return create(ask.birth, now)
  end
  if not ask.created_at or now - ask.created_at > CREATION_SECONDS then return nil, {'absent', time_text(now)} end
  return create(ask.birth, ask.created_at)
end
