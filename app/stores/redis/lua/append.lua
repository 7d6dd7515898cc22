-- Records of somebody who owns nothing, by compare-and-set on the head.
-- KEYS: the session's, its tombstone, maybe its user's two lists. ARGV: `Appending`.
-- include: clock
-- include: protocol
-- include: session
-- include: birth

local ask = cmsgpack.unpack(ARGV[1])
local now = store_time(ask.now or '')
local head, refusal = load_head(), nil

if not head and ask.seq ~= 0 then return {'missing'} end
if head and ask.seq == 0 then
  if head.birth ~= ask.birth then return {'exists'} end
  return {'repeated', entries(0, #ask.records)}
end
if head and (head.birth ~= ask.birth or head.seq ~= ask.seq) then return {'moved', head.seq} end
if not head then head, refusal = begin(ask, now) end
if not head then return refusal end

local first = head.seq + 1
write(head, append(head, ask.records, now), ask.blobs)
return {'appended', first}
