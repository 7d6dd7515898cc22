-- Gives the sessions that a claimant may take in some partitions, each followed by since when, and by its head: of every
-- tenant and partition the oldest ones.
--
-- What a session's queue and head are called is made from the partition's tag here: only the index knows the sessions.
-- KEYS: the sets of the tenants that wait, one of each partition. ARGV: what `Claiming` says.

local PAGE, MOST = 16, 512

-- A head that cannot be read is nobody's: it holds no other session up.
local function can_run(ask, session, packed)
  local intact, head = pcall(cmsgpack.unpack, packed)
  if not intact or type(head) ~= 'table' or not head.min_reader then return false end
  local agent = session:match('^[^/]*/[^/]*/([^/]*)/')
  return ask.reader >= head.min_reader and (head.active or ask.agents[agent])
end

local function insert_oldest(found, ask, tag, tenant)
  local from, count = 0, 0
  repeat
    local page = redis.call('ZRANGE', tag .. 'ready:' .. tenant, from, from + PAGE - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
      local packed = redis.call('GET', tag .. 'session:' .. page[i] .. ':head')
      if packed and count < ask.limit and can_run(ask, page[i], packed) then
        for _, text in ipairs({page[i], page[i + 1], packed}) do table.insert(found, text) end
        count = count + 1
      end
    end
    from = from + PAGE
  until #page < 2 * PAGE or count >= ask.limit or from >= MOST
end

local found = {}
if redis.call('EXISTS', unpack(KEYS)) == 0 then return found end
local ask = cmsgpack.unpack(ARGV[1])
for _, waiting in ipairs(KEYS) do
  local tag = waiting:match('^baton:{..}:')
  for _, tenant in ipairs(redis.call('SMEMBERS', waiting)) do insert_oldest(found, ask, tag, tenant) end
end
return found
