-- Gives up to `limit` sessions that a claimant may take in some partitions, each followed by since when, and by its
-- head, in the order of `app/stores/fairness.py`: of the tenant with the fewest running ones there, then the oldest.
--
-- However many are ready, few heads are read: one of each tenant, one of each that is given, and those of sessions that
-- the claimant cannot run, up to MOST for a tenant. What a session's queue and head are called is made from the
-- partition's tag here: only the index knows the sessions.
-- KEYS: the sorted sets of the tenants that wait, one of each partition. ARGV: what `Claiming` says.

local PAGE, MOST = 16, 2048

-- A head that cannot be read is nobody's: it holds no other session up.
local function can_run(ask, session, packed)
  local intact, head = pcall(cmsgpack.unpack, packed)
  if not intact or type(head) ~= 'table' or not head.min_reader then return false end
  local agent = session:match('^[^/]*/[^/]*/([^/]*)/')
  return ask.reader >= head.min_reader and (head.active or ask.agents[agent])
end

-- A lane is a tenant's queue in one partition. Its next session is at `at` of its page, ready `since` then; without that
-- there is none. The queue itself is not read before it is its turn.
local function turn_page(lane)
  lane.page = redis.call('ZRANGE', lane.tag .. 'ready:' .. lane.tenant, lane.from, lane.from + PAGE - 1, 'WITHSCORES')
  lane.from, lane.at = lane.from + PAGE, 1
end

local function step(lane)
  lane.at = lane.at + 2
  if lane.at > 2 * PAGE then turn_page(lane) end
  lane.since = tonumber(lane.page[lane.at + 1])
end

local function oldest(lanes)
  local first
  for _, lane in ipairs(lanes) do
    if lane.since and (not first or lane.since < first.since) then first = lane end
  end
  return first
end

-- The tenant is at its oldest session that the claimant can run; its lane is nil if there is none.
local function settle(ask, tenant)
  tenant.lane = oldest(tenant.lanes)
  while tenant.lane do
    local lane = tenant.lane
    if not lane.page then turn_page(lane) end
    tenant.session = lane.page[lane.at]
    tenant.packed = tenant.session and redis.call('GET', lane.tag .. 'session:' .. tenant.session .. ':head')
    if tenant.packed and can_run(ask, tenant.session, tenant.packed) then return end
    tenant.passed = tenant.passed + 1
    step(lane)
    tenant.lane = tenant.passed < MOST and oldest(tenant.lanes) or nil
  end
end

local function is_before(one, other)
  if one.running ~= other.running then return one.running < other.running end
  return one.lane.since < other.lane.since
end

local function next_in_line(tenants)
  local first
  for _, tenant in ipairs(tenants) do
    if tenant.lane and (not first or is_before(tenant, first)) then first = tenant end
  end
  return first
end

local function tenants_that_wait()
  local tenants, by_name = {}, {}
  for _, waiting in ipairs(KEYS) do
    local tag = waiting:match('^baton:{..}:')
    local names = redis.call('ZRANGE', waiting, 0, -1, 'WITHSCORES')
    for i = 1, #names, 2 do
      local name = names[i]
      if not by_name[name] then
        by_name[name] = {lanes = {}, running = 0, passed = 0}
        table.insert(tenants, by_name[name])
      end
      table.insert(by_name[name].lanes, {tag = tag, tenant = name, since = tonumber(names[i + 1]), from = 0})
    end
  end
  for _, waiting in ipairs(KEYS) do
    local counts = redis.call('HGETALL', waiting:match('^baton:{..}:') .. 'running')
    for i = 1, #counts, 2 do
      local tenant = by_name[counts[i]]
      if tenant then tenant.running = tenant.running + tonumber(counts[i + 1]) end
    end
  end
  return tenants
end

local found = {}
if redis.call('EXISTS', unpack(KEYS)) == 0 then return found end
local ask = cmsgpack.unpack(ARGV[1])
local tenants = tenants_that_wait()
for _, tenant in ipairs(tenants) do settle(ask, tenant) end
for _ = 1, ask.limit do
  local tenant = next_in_line(tenants)
  if not tenant then break end
  local lane = tenant.lane
  for _, text in ipairs({tenant.session, lane.page[lane.at + 1], tenant.packed}) do table.insert(found, text) end
  tenant.running = tenant.running + 1
  step(lane)
  settle(ask, tenant)
end
return found
