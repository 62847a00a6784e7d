-- Put before every script of this folder (coordination/scripts.py): time, hybrid timestamps, fences.
--
-- A hybrid timestamp is text of fixed width, `mmmmmmmmmmmmmmm.llllll` (milliseconds, logical): text order is time
-- order, and arithmetic is on the two parts, because Lua's numbers are doubles. '' or false is "none", below all.

local GRID = 50 -- ms; cdc_core/model/timestamp.py: GRID_MS
local LOGICAL = 262144 -- 2^18

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function ts_parts(text) return tonumber(string.sub(text, 1, 15)), tonumber(string.sub(text, 17, 22)) end

local function ts_text(ms, logical)
  ms = ms + math.floor(logical / LOGICAL)
  return string.format('%015d.%06d', ms, logical % LOGICAL)
end

local function ts_plus(text, count)
  local ms, logical = ts_parts(text)
  return ts_text(ms, logical + count)
end

local function ts_floor(text)
  local ms = ts_parts(text)
  return ts_text(ms - ms % GRID, 0)
end

local function ts_ceil(text)
  local line = ts_floor(text)
  if line == text then return line end
  return ts_text(ts_parts(line) + GRID, 0)
end

local function later(a, b)
  a, b = a or '', b or ''
  if a > b then return a end
  return b
end

-- How far the source's clock is from Redis' one, in ms; the least lag ever seen counts. `tick` 0 says nothing.
local function note_source_clock(clock, tick)
  local offset = tick - now_ms()
  local known = redis.call('HGET', clock, 'offset')
  if tick > 0 and (not known or offset > tonumber(known)) then
    redis.call('HSET', clock, 'offset', string.format('%d', offset))
  end
end

-- Is `owner` with `epoch` the holder of that channel's lease?
local function mine(channel, owner, epoch)
  local held = redis.call('HMGET', channel, 'owner', 'epoch')
  return held[1] == owner and held[2] == epoch
end

-- A channel with a batch of unclear fate or a hold must be settled by somebody, whatever its task is to do (I4).
local function unsettled(channel)
  local fields = redis.call('HMGET', channel, 'inflight', 'gate')
  return (fields[1] and true or false) or (fields[2] and true or false)
end
