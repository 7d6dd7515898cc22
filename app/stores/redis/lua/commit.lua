-- A runner's records, under its claim, once.
-- KEYS: the session's, the heir's own. ARGV: `Committing`, the checkpoint's body.
-- include: clock
-- include: protocol
-- include: session

local function claim_of(handed)
  if not handed then return false, false end
  return handed.epoch, handed.nonce
end

local function answer(code, last, bodies)
  local epoch, nonce = claim_of(last.handed)
  return {code, last.last, last.status, last.first, bodies, epoch, nonce}
end

local ask = cmsgpack.unpack(ARGV[1])
local head = load_head()
if not head then return {'gone'} end
local last = is_repeat(head, ask.claim, ask.number)
if last then return answer('repeated', last, entries(ask.seen, last.last)) end

local seq, written = head.seq, #ask.records
if ask.heir and contended() then ask.heir = nil end
local records, refusal = commit(head, ask, store_time(ask.now or ''))
local unseen = entries(ask.seen, seq)
if not records then return {refusal[1], refusal[2] or unseen, refusal[3]} end
if not readable(unseen, seq - ask.seen) then return {'corrupt'} end

if #records > written then table.insert(unseen, records[#records].body) end
local reply = answer('committed', head.last, unseen)
write(head, records, ask.blobs)
if ask.checkpoint and ask.seen == seq and ask.checkpoint.seq == seq + written then
  keep(ask.checkpoint.seq, ask.checkpoint.version, ARGV[2])
end
return reply
