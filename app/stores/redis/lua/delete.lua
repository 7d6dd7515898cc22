#!lua flags=allow-oom
-- Nothing of the session is left but a tombstone, which outlives whoever may still ask for its creation.
-- Gives when it was created, and the blobs that it named; or nothing if there was none.
-- KEYS: the session's. ARGV: what its tombstones' names begin with, now.
-- include: clock
-- include: session

local TOMBSTONE_SECONDS = 30 * 24 * 3600

local head = load_head()
if not head then return {} end
local blobs = redis.call('SMEMBERS', BLOBS)
local now = time_text(store_time(ARGV[2]))
file({})
redis.call('SET', ARGV[1] .. encoded(head.birth), now, 'EX', TOMBSTONE_SECONDS)
redis.call('UNLINK', HEAD, LOG, CHECKPOINTS, REQUESTS, REQUEST_ORDER, RUNS, BLOBS)
return {time_text(head.created_at), blobs}
