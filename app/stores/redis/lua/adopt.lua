-- The session is the claimant's, if its head is still the one that was read.
-- KEYS: the session's, the claimant's own. ARGV: `Adopting`.
-- include: clock
-- include: protocol
-- include: session

local ask = cmsgpack.unpack(ARGV[1])
local head = load_head()
local same = head and head.birth == ask.birth and head.epoch == ask.epoch and head.seq == ask.seq
if not same or head.nonce ~= ask.nonce or not is_adoptable(head, ask.claimant) then return {'moved'} end

local records = adopt(head, ask.claimant, store_time(ask.now or ''))
local packed = write(head, records)
return {'adopted', packed, {records[1] and records[1].body}}
