-- Appends to the log, trims it, and begins a new epoch where the log is not what the caller knew.
--
-- KEYS  1, 2 as in prelude.lua   3… one for each idempotency key that the call names
-- ARGV  1 as in prelude.lua   2 the name of an epoch, if one has to begin
--       3 the highest offset that the caller has seen
--       4 events, 5 bytes, 6 ms of age that are kept
--       7 until when the caller waits for an answer, ms ('' = for ever)
--       8 producer   9 how many groups (-1 = none, and trim everything)
--       then for each group: its first number, when a spool accepted it (ms) and whether one has
--       (0 or 1), the index of its key in KEYS (0 = none), digest, lifetime of the key in ms, how
--       many entries; and for each entry: size, header, body
--
-- A call that comes so late that the caller has given up is carried out all the same, but what it
-- brings keeps the ids that the caller's spool has given it meanwhile.
--
-- What a spool has accepted is in readers' hands already, under its numbers. If its key turns out
-- to have been used elsewhere for the same, entries that nobody may see stand for these numbers;
-- if for something else, it is appended all the same.
--
-- A script is atomic but not rolled back, so everything is looked at before the first write.
if redis.replicate_commands then redis.replicate_commands() end

local new_epoch, seen = ARGV[2], number(ARGV[3])
local max_events, max_bytes, max_age = number(ARGV[4]), number(ARGV[5]), number(ARGV[6])
local patience, producer, count = number(ARGV[7]), ARGV[8], number(ARGV[9])
local late = patience and now > patience

local groups, at, size_added = {}, 10, 0
for i = 1, count do
  local group = {
    first = number(ARGV[at]), accepted_at = number(ARGV[at + 1]),
    spooled = late or ARGV[at + 2] == '1', waited = ARGV[at + 2] == '1', key = KEYS[number(ARGV[at + 3])],
    digest = ARGV[at + 4], lifetime = number(ARGV[at + 5]), count = number(ARGV[at + 6]),
    at = at + 7,
  }
  at = group.at + group.count * 3
  for entry = group.at, at - 1, 3 do
    size_added = size_added + number(ARGV[entry])
  end
  groups[i] = group
end
if at ~= #ARGV + 1 then
  return redis.error_reply('ERR a call of append that is not whole')
end

local known = redis.call('HMGET', meta, 'epoch', 'ms', 'offset', 'last', 'floor_ms',
  'floor_offset', 'floor_epoch', 'bytes', 'epochs', 'p:' .. producer)
local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local last = newest and newest[1] or ''
local epoch, ms, offset = known[1], number(known[2]), number(known[3])
local floor_ms, floor_offset, floor_epoch = number(known[5]), number(known[6]), known[7]
local bytes, epochs, record = number(known[8]), known[9], known[10] or ''

if not epoch or last ~= known[4] then
  -- A new log, or one of which a part is lost: what is left of it is not to be trusted.
  local left_ms, left_offset = string.match(last, '^(%d+)%-(%d+)$')
  ms = math.max(now, number(left_ms) or 0, ms or 0)
  offset = math.max(seen, number(left_offset) or 0, offset or 0)
  epoch, bytes, record = new_epoch, 0, ''
  epochs = string.format('%s:%d:%d', epoch, offset, ms)
  floor_ms, floor_offset, floor_epoch, last = ms, offset, epoch, ''
  redis.call('HSET', meta, 'epoch', epoch)
  redis.call('DEL', log)
elseif offset < seen then
  -- A failover lost what the caller has seen: those offsets are not given a second time.
  ms, offset, epoch = math.max(now, ms), seen, new_epoch
  epochs = string.format('%s,%s:%d:%d', epochs, epoch, offset, ms)
  local _, many = string.gsub(epochs, ',', ',')
  if many >= 32 then epochs = string.gsub(epochs, '^[^,]*,', '', 1) end
end
-- The time of what is appended; without that the head stays what it is.
local stamp = math.max(now, ms)

local done = number(string.match(record, '^(%d+)')) or 0
local results, added = {}, 0
for i, group in ipairs(groups) do
  local result, hidden
  if group.first + group.count - 1 <= done then
    -- A repeat, because the answer was lost.
    result = string.match(record, ' ' .. text(group.first) .. '=(%S+)') or 'appended'
  elseif group.key then
    local digest, until_ms, where =
      string.match(redis.call('GET', group.key) or '', '^(%S+) (%d+) (%S+)$')
    if digest and number(until_ms) > stamp then
      result = digest == group.digest and '!' .. where or 'conflict'
      if group.waited then
        hidden = result ~= 'conflict' and result
        result = nil
      end
    end
  end
  if not result then
    ms = stamp
    result = string.format('%d-%d-%s', ms, offset + 1, epoch)
    if group.spooled then
      result = string.format('%d-%d-%s', group.accepted_at, group.first, producer)
    end
    for i = 0, group.count - 1 do
      local entry, accepted = group.at + i * 3, '-'
      if group.spooled then
        accepted = string.format('%d-%d-%s', group.accepted_at, group.first + i, producer)
      end
      offset = offset + 1
      last = text(ms) .. '-' .. text(offset)
      local header = ARGV[entry + 1]
      -- For a user without a name, and so for nobody.
      if hidden then header = string.match(header, '^[^\30]*') .. '\30u\30' end
      redis.call('XADD', log, last, 'h', string.format('%s %d %d %s %s ', epoch,
        number(ARGV[entry]), group.first + i, producer, accepted) .. header,
        'b', ARGV[entry + 2])
      bytes = bytes + number(ARGV[entry])
    end
    added = added + group.count
    if hidden then
      result = hidden
    elseif group.key then
      redis.call('SET', group.key,
        group.digest .. ' ' .. text(ms + group.lifetime) .. ' ' .. result,
        'PX', text(group.lifetime))
    end
  end
  results[i] = text(group.first) .. '=' .. result
end

local length = redis.call('XLEN', log)
local before = length
local budget = added + 200

-- Trims the entries from the beginning for as long as `over` says so.
local function trim(entries, over)
  local id
  for _, entry in ipairs(entries) do
    local entry_ms, entry_offset = string.match(entry[1], '^(%d+)%-(%d+)$')
    if not over(number(entry_ms)) then break end
    local entry_epoch, size = string.match(entry[2][2], '^(%S+) (%d+)')
    floor_ms, floor_offset, floor_epoch = number(entry_ms), number(entry_offset), entry_epoch
    bytes, length, budget = bytes - number(size), length - 1, budget - 1
    id = entry_ms .. '-' .. text(floor_offset + 1)
  end
  if id then redis.call('XTRIM', log, 'MINID', id) end
  return id
end

if count < 0 then
  floor_ms, floor_offset, floor_epoch, bytes, length = ms, offset, epoch, 0, 0
  redis.call('XTRIM', log, 'MAXLEN', 0)
else
  local cut = now - max_age
  if length > 0 and cut > 0 then
    trim(redis.call('XRANGE', log, '-', text(cut - 1), 'COUNT', budget),
      function(entry_ms) return entry_ms < cut end)
  end
  while budget > 0 and length > 0 and (length > max_events or bytes > max_bytes) do
    local few = math.min(budget, math.max(8, length - max_events))
    trim(redis.call('XRANGE', log, '-', '+', 'COUNT', few),
      function() return length > max_events or bytes > max_bytes end)
  end
end
if length == 0 then last, bytes = '', 0 end

redis.call('HSET', meta, 'epoch', epoch, 'ms', text(ms), 'offset', text(offset), 'last', last,
  'floor_ms', text(floor_ms), 'floor_offset', text(floor_offset), 'floor_epoch', floor_epoch,
  'bytes', text(bytes), 'epochs', epochs)
if count > 0 then
  local group = groups[count]
  local upto = math.max(done, group.first + group.count - 1)
  redis.call('HSET', meta, 'p:' .. producer,
    text(upto) .. ' ' .. text(now) .. ' ' .. table.concat(results, ' '))
end
return {
  string.format('%d-%d-%s', ms, offset, epoch),
  string.format('%d-%d-%s', floor_ms, floor_offset, floor_epoch),
  length, bytes, before - length, table.concat(results, ' '), now,
}
