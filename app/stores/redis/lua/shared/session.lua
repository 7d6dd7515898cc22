-- One session's keys with those of its partition, and what it takes to read and to change them.
--
-- A script that fails half-way is not undone. So each one first reads and decides, and what is below `write` can only
-- fail as a whole. The set of an owner's sessions is named from the tag here, because only the head knows the owner.

local HEAD, LOG, CHECKPOINTS, REQUESTS, REQUEST_ORDER, RUNS, BLOBS, READY, WAITING, RUNNING = unpack(KEYS)
local TAG, SESSION = HEAD:match('^(baton:{..}:)session:(.*):head$')
local TENANT = SESSION:match('^[^/]*')
local CHECKPOINTS_KEPT = 2

local function encoded(component)
  return (component:gsub('[^%w_.~-]', function(c) return string.format('%%%02X', c:byte()) end))
end

-- What the indexes say of the session until they are told otherwise.
local filed = {}

local function load_head()
  local packed = redis.call('GET', HEAD)
  if not packed then return nil end
  local intact, head = pcall(cmsgpack.unpack, packed)
  if not (intact and type(head) == 'table' and head.birth and head.queue) then
    error({err = 'CORRUPT a stored head cannot be read'})
  end
  filed = {birth = head.birth, owner = head.owner, nonce = head.nonce, ready_at = head.ready_at}
  return head
end

local function save_head(head)
  if head.last then head.last.handed = head.last.handed or cjson.null end -- `LastCommit` has no defaults
  local packed = cmsgpack.pack(head)
  redis.call('SET', HEAD, packed)
  return packed
end

-- Gives the bodies of the records after one seq, up to another.
local function entries(after, last)
  return last > after and redis.call('LRANGE', LOG, after, last - 1) or {}
end

-- Says whether as many bodies are there as there should be, each of them JSON.
local function readable(bodies, count)
  for _, body in ipairs(bodies) do
    if not pcall(cjson.decode, body) then return false end
  end
  return #bodies == count
end

local function checkpoint_places()
  local places = {}
  for _, name in ipairs(redis.call('HKEYS', CHECKPOINTS)) do
    local seq, version = name:match('^(%d+):(%d+)$')
    table.insert(places, {name = name, seq = tonumber(seq), version = tonumber(version)})
  end
  table.sort(places, function(one, other) return one.seq > other.seq end)
  return places
end

-- Gives the seq and the body of the newest checkpoint of that fold version; 0 and an empty body without one.
local function checkpoint(version)
  for _, place in ipairs(checkpoint_places()) do
    if place.version == version then return place.seq, redis.call('HGET', CHECKPOINTS, place.name) end
  end
  return 0, ''
end

local function keep(seq, version, body)
  local newest = 1
  for _, place in ipairs(checkpoint_places()) do
    if place.seq ~= seq then newest = newest + 1 end
    if place.seq == seq or newest > CHECKPOINTS_KEPT then redis.call('HDEL', CHECKPOINTS, place.name) end
  end
  redis.call('HSET', CHECKPOINTS, seq .. ':' .. version, body)
end

-- Says whether a session of another tenant is ready in this partition.
local function contended()
  return redis.call('ZCARD', WAITING) > (redis.call('ZSCORE', WAITING, TENANT) and 1 or 0)
end

local function file_owner(owner, nonce)
  redis.call('HSET', TAG .. 'owned:' .. encoded(owner), SESSION, nonce)
  redis.call('HINCRBY', RUNNING, TENANT, 1)
end

local function unfile_owner(owner)
  redis.call('HDEL', TAG .. 'owned:' .. encoded(owner), SESSION)
  if redis.call('HINCRBY', RUNNING, TENANT, -1) <= 0 then redis.call('HDEL', RUNNING, TENANT) end
end

local function file_ready(ready_at)
  redis.call('ZADD', READY, ready_at, SESSION)
  redis.call('ZADD', WAITING, 'LT', ready_at, TENANT)
end

local function unfile_ready()
  redis.call('ZREM', READY, SESSION)
  local oldest = redis.call('ZRANGE', READY, 0, 0, 'WITHSCORES')[2]
  if oldest then redis.call('ZADD', WAITING, oldest, TENANT) else redis.call('ZREM', WAITING, TENANT) end
end

-- The partition's indexes say of the session what its head says; `{}` stands for a head that is gone.
local function file(head)
  if filed.owner ~= head.owner or filed.nonce ~= head.nonce then
    if filed.owner then unfile_owner(filed.owner) end
    if head.owner then file_owner(head.owner, head.nonce) end
  end
  if filed.ready_at ~= head.ready_at then
    if filed.ready_at then unfile_ready() end
    if head.ready_at then file_ready(head.ready_at) end
  end
end

-- A run's row in the index: `first:last:stage:joined`, all but the first maybe empty. Beside the rows is whose they are.
local function begin_run(run, first, last, stage, joined)
  redis.call('HSET', RUNS, run, table.concat({first, last, stage, joined}, ':'))
end

local function move_run(run, stage, last)
  local first = (redis.call('HGET', RUNS, run) or ''):match('^%d+')
  if first then begin_run(run, first, last, stage, '') end
end

-- What a record changes in the run index.
local index = {
  ['run.queued'] = function(record) begin_run(record.run, record.seq, '', 'queued', '') end,
  ['input.steered'] = function(record)
    begin_run(record.input_id, record.seq, record.seq, 'joined', record.run)
  end,
  ['run.started'] = function(record) move_run(record.run, 'active', '') end,
  ['run.finished'] = function(record) move_run(record.run, record.status, record.seq) end,
  ['input.withdrawn'] = function(record) move_run(record.run, 'cancelled', record.seq) end,
}

-- The records are in the log, the head is stored, and every index says what they say. Gives the head as stored.
local function write(head, records, blobs)
  for _, record in ipairs(records) do
    redis.call('RPUSH', LOG, record.body)
    if index[record.kind] then index[record.kind](record) end
  end
  for _, sha256 in ipairs(blobs or {}) do redis.call('SADD', BLOBS, sha256) end
  if not filed.birth then redis.call('HSET', RUNS, 'session', SESSION .. '/' .. head.birth) end
  file(head)
  return save_head(head)
end
