-- An input on its way in: recognised if it came before, else admitted by its policy.
-- KEYS: the session's, its tombstone, maybe its user's two lists, maybe the claimant's own. ARGV: `Submitting`.
-- include: clock
-- include: protocol
-- include: session
-- include: birth

local IDEMPOTENCY_SECONDS, IDEMPOTENCY_KEPT = 24 * 3600, 256

-- Gives the run that this very request has become, or nil; or nil and why it is refused.
local function recognise(ask, now)
  local run = ask.run
  local use = ask.idempotency_key and redis.call('HGET', REQUESTS, ask.idempotency_key)
  use = use and cmsgpack.unpack(use)
  if use and now - use.at < IDEMPOTENCY_SECONDS then
    if use.fingerprint ~= ask.fingerprint then return nil, {'mismatch'} end
    run = use.run
  end
  local row = redis.call('HGET', RUNS, run)
  if not row then return nil end
  local first, joined = row:match('^(%d+):%d*:%l*:(.*)$')
  return {run = run, first = tonumber(first), joined = joined ~= '' and joined or nil}
end

local function remember(ask, seq, now)
  local use = {run = ask.run, fingerprint = ask.fingerprint, at = now}
  redis.call('HSET', REQUESTS, ask.idempotency_key, cmsgpack.pack(use))
  redis.call('ZADD', REQUEST_ORDER, seq, ask.idempotency_key)
  if redis.call('ZCARD', REQUEST_ORDER) > IDEMPOTENCY_KEPT then
    redis.call('HDEL', REQUESTS, redis.call('ZPOPMIN', REQUEST_ORDER)[1])
  end
end

-- The claim again for whom it was given to; for everybody else the run to follow.
local function again(head, known, ask)
  local claimant = ask.claimant
  local ours = claimant and head.owner == claimant.incarnation and head.nonce == claimant.nonce
  if not ours or head.active ~= known.run then
    return {'attached', known.joined or known.run, known.first, head.birth}
  end
  local start, body = checkpoint(ask.version)
  return {'claimed', known.run, known.first, redis.call('GET', HEAD), start, body, entries(start, head.seq)}
end

local function first_of(records)
  for _, record in ipairs(records) do
    if record.kind == 'run.queued' or record.kind == 'input.steered' then return record end
  end
end

local ask = cmsgpack.unpack(ARGV[1])
local now = store_time(ask.now or '')
local head = load_head()

if head then
  local known, refusal = recognise(ask, now)
  if refusal then return refusal end
  if known then return again(head, known, ask) end
else
  local born, refusal = begin(ask, now)
  if not born then return refusal end
  head = born
end

local seq, epoch = head.seq, head.epoch
local records, refusal = admit(head, ask, ask.claimant and contended(), now)
if not records then return refusal end
local start, body, tail = 0, '', {}
if head.epoch > epoch then
  start, body = checkpoint(ask.version)
  tail = entries(start, seq)
  if not readable(tail, seq - start) then return {'corrupt'} end
end

local packed = write(head, records, ask.blobs)
local first = first_of(records)
if ask.idempotency_key then remember(ask, first.seq, now) end
if first.kind == 'input.steered' then
  return {'joined', first.run, first.seq, head.birth, status(head)}
elseif head.epoch == epoch then
  return {'queued', first.run, first.seq, head.birth, status(head)}
end
for _, record in ipairs(records) do table.insert(tail, record.body) end
return {'claimed', first.run, first.seq, packed, start, body, tail}
