-- The claim protocol: app/stores/head.py in Lua, under the same names. Why it is as it is, is said there.
--
-- A head is a table with the fields of `Head`, of which those that are None are absent. Here a function changes the head
-- it is given, and gives the records to append. A record has the fields of `Record` in requests.py.

local MAX_QUEUE, MAX_STEERED = 32, 256

local function status(head)
  if head.owner then return 'owned' end
  if head.active and head.suspended then return 'suspended' end
  return (head.active or #head.queue > 0) and 'ready' or 'idle'
end

local function create(birth, now)
  return {
    birth = birth, created_at = now, updated_at = now, seq = 0, title = '', min_reader = 1, epoch = 0, nonce = '',
    orphaned = false, commits = 0, cancelling = false, suspended = false, steered = 0, queue = {}, attention = 0,
  }
end

local function turn_to(head, run)
  head.active, head.cancelling, head.suspended, head.steered = run, false, false, 0
end

local function without(queue, run)
  local others = {}
  for _, other in ipairs(queue) do
    if other ~= run then table.insert(others, other) end
  end
  return others
end

-- What a record of the active run changes in the head.
local advance_run = {
  ['run.finished'] = function(head) turn_to(head, nil) end,
  ['run.suspended'] = function(head) head.suspended = true end,
  ['run.resumed'] = function(head) head.suspended = false end,
  ['run.cancel_requested'] = function(head, seq)
    head.cancelling, head.suspended, head.attention = true, false, seq
  end,
  ['input.steered'] = function(head, seq)
    head.steered, head.suspended, head.attention = head.steered + 1, false, seq
  end,
  ['approval.resolved'] = function(head, seq) head.suspended, head.attention = false, seq end,
}

-- What any other record changes in the head.
local advance = {
  ['session.created'] = function(head, record) head.title = record.title or '' end,
  ['state.patched'] = function(head, record) head.title = record.title or head.title end,
  ['run.queued'] = function(head, record) table.insert(head.queue, record.run) end,
  ['run.started'] = function(head, record)
    turn_to(head, record.run)
    head.queue = without(head.queue, record.run)
  end,
  ['input.withdrawn'] = function(head, record) head.queue = without(head.queue, record.run) end,
}

local function mark_ready(head, now)
  head.ready_at = status(head) == 'ready' and (head.ready_at or now) or nil
end

local function append(head, records, now)
  for _, record in ipairs(records) do
    head.seq = head.seq + 1
    record.seq = head.seq
    head.min_reader = math.max(head.min_reader, record.reader or 1)
    if advance[record.kind] then
      advance[record.kind](head, record)
    elseif advance_run[record.kind] and head.active and record.run == head.active then
      advance_run[record.kind](head, record.seq)
    end
  end
  head.updated_at = now
  mark_ready(head, now)
  return records
end

local function can_run(claimant, head)
  return claimant.reader >= head.min_reader and (head.active or claimant.start) and true or false
end

local function started(start, run, epoch)
  local body = start[1] .. cjson.encode(run) .. start[2] .. string.format('%d', epoch) .. start[3]
  return {kind = 'run.started', run = run, body = body}
end

local function adopt(head, claimant, now)
  head.epoch, head.nonce, head.owner = head.epoch + 1, claimant.nonce, claimant.incarnation
  head.orphaned, head.commits, head.ready_at = false, 0, nil
  if head.active then return {} end
  return append(head, {started(claimant.start, head.queue[1], head.epoch)}, now)
end

local function is_adoptable(head, claimant)
  if not can_run(claimant, head) or not (head.active or #head.queue > 0) then return false end
  return status(head) == 'ready' or head.owner == claimant.incarnation
end

local function let_go(head, now)
  head.owner, head.nonce, head.commits = nil, '', 0
  mark_ready(head, now)
end

local function orphan(head, now)
  let_go(head, now)
  head.epoch, head.orphaned = head.epoch + 1, true
end

-- A record of the active run, whose id the sender did not know: its body is a template around that id.
local function of_active(kind, template, run, input_id)
  return {kind = kind, run = run, input_id = input_id, body = template[1] .. cjson.encode(run) .. template[2]}
end

-- Gives the records, or nil and why the input is refused.
local function admit(head, ask, contended, now)
  local busy, blocker = status(head) ~= 'idle', head.active or head.queue[1]
  if busy and ask.policy == 'reject' then return nil, {'busy', blocker} end
  local steerable = head.active and not head.cancelling
  if steerable and ask.policy == 'steer' then
    if head.steered >= MAX_STEERED then return nil, {'full', 'steered'} end
    return append(head, {of_active('input.steered', ask.steered, blocker, ask.run)}, now)
  end
  if #head.queue >= MAX_QUEUE then return nil, {'full', 'queue'} end
  local records = {}
  if head.seq == 0 then table.insert(records, ask.created) end
  if steerable and ask.policy == 'interrupt' then
    table.insert(records, of_active('run.cancel_requested', ask.cancel, blocker))
  end
  table.insert(records, ask.queued)
  append(head, records, now)
  if not busy and not contended and ask.claimant and can_run(ask.claimant, head) then
    table.insert(records, adopt(head, ask.claimant, now)[1])
  end
  return records
end

-- Gives the newest commit's answer, if this is that commit again.
local function is_repeat(head, claim, number)
  local last = head.last
  local same = last and last.claim.epoch == claim.epoch and last.claim.nonce == claim.nonce and last.number == number
  return same and last or nil
end

local function ends(ask)
  for _, record in ipairs(ask.records) do
    if record.kind == 'run.finished' then return true end
  end
  return ask.release
end

-- Gives the records, or nil and why the commit is refused.
local function commit(head, ask, now)
  local claim = ask.claim
  local in_force = head.owner and claim.epoch == head.epoch and claim.nonce == head.nonce
  if not in_force or ask.number <= head.commits then return nil, {'stale', head.epoch} end
  if ask.number > head.commits + 1 or ask.seen > head.seq then return nil, {'regressed', head.commits, head.seq} end
  if ends(ask) and head.attention > ask.seen then return nil, {'unseen'} end
  local first, heir = head.seq + 1, ask.heir
  local records = append(head, ask.records, now)
  head.commits = ask.number
  if ask.release then
    let_go(head, now)
    if heir and not head.active and #head.queue > 0 and can_run(heir, head) then
      table.insert(records, adopt(head, heir, now)[1])
    end
  end
  local handed = ask.release and head.owner and {epoch = head.epoch, nonce = head.nonce}
  head.last = {
    claim = claim, number = ask.number, first = first, last = head.seq, status = status(head), handed = handed or nil,
  }
  return records
end
