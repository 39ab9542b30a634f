-- Reads a page of the log. Writes nothing.
--
-- KEYS  1, 2 as in prelude.lua
-- ARGV  1 as in prelude.lua   2 ms of age that are kept
--       3 the highest offset that the caller has seen
--       4 entries at most   5 bytes at most
--       6 without a cursor: start at most so many entries before the head (-1 = anywhere)
--       7 'earliest', 'latest', 'time' or 'cursor'   8… ms, offset, epoch of the cursor; the time
--
-- Returns {head, floor, start, reason of a gap or '', entries}; or nothing where the log is not
-- what the caller knew and a new epoch has to begin.
local cut, seen = now - number(ARGV[2]), number(ARGV[3])
local limit, max_bytes, replay, mode = number(ARGV[4]), number(ARGV[5]), number(ARGV[6]), ARGV[7]

local known = redis.call('HMGET', meta, 'epoch', 'ms', 'offset', 'last', 'floor_ms',
  'floor_offset', 'floor_epoch', 'epochs')
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if not known[1] or number(known[3]) < seen or (newest and newest[1] or '') ~= known[4] then
  return {}
end

local head = { ms = number(known[2]), offset = number(known[3]), epoch = known[1] }
local floor = { ms = number(known[5]), offset = number(known[6]), epoch = known[7] }

local function position(entry)
  local ms, offset = string.match(entry[1], '^(%d+)%-(%d+)$')
  return { ms = number(ms), offset = number(offset), epoch = string.match(entry[2][2], '^%S+') }
end

local function same(one, other)
  return one.ms == other.ms and one.offset == other.offset and one.epoch == other.epoch
end

local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
oldest = oldest and position(oldest)

-- The last position that the log holds, up to a time, and of that time up to an offset if one is
-- given; the floor if there is none. Below the oldest, Redis would walk through the whole stream.
local function held(ms, offset)
  if not oldest or ms < oldest.ms
    or (ms == oldest.ms and offset and offset < oldest.offset) then
    return floor
  end
  local id = offset and text(ms) .. '-' .. text(offset) or text(ms)
  local found = position(redis.call('XREVRANGE', log, id, '-', 'COUNT', 1)[1])
  return found.offset > floor.offset and found or floor
end

-- Where an epoch began; nothing if it is none of this log's.
local function birth(epoch)
  local base, ms = string.match(',' .. known[8], ',' .. epoch .. ':(%d+):(%d+)')
  return base and { ms = number(ms), offset = number(base), epoch = epoch }
end

if cut > 0 then floor = held(cut - 1) end
local function later(one, other) return one.offset >= other.offset and one or other end

local start, reason = floor, ''
if mode == 'latest' then
  start = head
elseif mode == 'time' then
  local since = number(ARGV[8])
  if floor.offset > 0 and floor.ms >= since then
    reason = 'expired'
  elseif since > 0 then
    start = held(since - 1)
  end
elseif mode == 'cursor' then
  local asked = { ms = number(ARGV[8]), offset = number(ARGV[9]), epoch = ARGV[10] }
  local born = birth(asked.epoch)
  if not born then
    reason = 'epoch'
  elseif same(asked, floor) or same(asked, head) then
    start = asked
  elseif asked.offset < floor.offset then
    reason = 'expired'
  elseif asked.offset > head.offset then
    start, reason = head, 'future'
  else
    start = held(asked.ms, asked.offset)
    if same(asked, born) then
      start = asked
    elseif not same(asked, start) then
      -- What stood there is lost. The reader has had everything up to that time.
      reason = 'epoch'
    end
  end
end

if replay >= 0 and mode ~= 'cursor' and head.offset - replay > start.offset then
  local target, low, high = head.offset - replay, floor.ms, head.ms
  while low < high do
    local middle = math.floor((low + high) / 2)
    if held(middle).offset >= target then high = middle else low = middle + 1 end
  end
  start, reason = held(low, target), 'replayLimit'
end

local entries, size, id = {}, 0, text(start.ms) .. '-' .. text(start.offset + 1)
local first = redis.call('XRANGE', log, id, '+', 'COUNT', 1)[1]
local following = first and position(first).epoch or head.epoch
if following ~= start.epoch then
  -- Between two epochs something is lost, or nobody can say that nothing is.
  start = later(birth(following) or floor, floor)
  if reason == '' and mode == 'cursor' then reason = 'epoch' end
end

local few = 4
while #entries < limit do
  local page = redis.call('XRANGE', log, id, '+', 'COUNT', math.min(limit - #entries, few))
  -- Entries may be large: no more are looked at than are likely to be taken.
  if size * 2 < max_bytes then few = math.min(few * 2, 128) end
  for _, entry in ipairs(page) do
    local epoch, bytes = string.match(entry[2][2], '^(%S+) (%d+)')
    size = size + number(bytes)
    if epoch ~= start.epoch or (size > max_bytes and #entries > 0) then
      limit = 0
      break
    end
    entries[#entries + 1] = { entry[1], entry[2][2], entry[2][4] }
    id = entry[1]
  end
  if #page == 0 then break end
  local ms, offset = string.match(id, '^(%d+)%-(%d+)$')
  id = ms .. '-' .. text(number(offset) + 1)
end

local function show(one) return string.format('%d-%d-%s', one.ms, one.offset, one.epoch) end
return { show(head), show(floor), show(start), reason, entries }
