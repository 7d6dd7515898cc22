#!lua flags=allow-oom
-- The session is ready and its claim void, if its owner is still the dead incarnation. Gives 1, or 0.
-- KEYS: the session's, the dead one's own. ARGV: the dead incarnation, now.
-- include: clock
-- include: protocol
-- include: session

local head = load_head()
if not head or head.owner ~= ARGV[1] then return 0 end
orphan(head, store_time(ARGV[2]))
write(head, {})
return 1
