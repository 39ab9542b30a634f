-- What both scripts begin with: the keys of the log, whole numbers as text, and the time.
--
-- KEYS  1 log: a stream whose entry ids are <ms>-<offset>   2 meta: a hash
-- ARGV  1 now, ms ('' = the server's)
local log, meta = KEYS[1], KEYS[2]
local number = tonumber
local function text(n) return string.format('%d', n) end

local now = number(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = number(time[1]) * 1000 + math.floor(number(time[2]) / 1000)
end

