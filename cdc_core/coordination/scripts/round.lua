-- One round at the gate of a target pchannel: commits and raises, then the grant of a tick, then begins.
--
-- The gate's hash: `tick` the last one granted, `top` the highest timestamp of any message that is not in flight any more,
-- `s:<member>` the hold of a member in step, `b:<member>` the hold of one that is behind and has a batch in flight.
-- A channel's hash: `position`, `resolved` (the checkpoint), `inflight` (the intent, I4), `last` (the highest
-- timestamp it ever sent), `gate` (the gate where it has a hold), `begun` (the last begin: its a and b).
--
-- KEYS: 1 gate, 2 source clock, 3 wake (pub/sub), then the channel hashes of the members
-- ARGV: 1 owner, 2 least advance of a tick in ms ('' grants none), 3 '1' when keep-alive is on, 4 the operations as JSON,
--       in the order of their channels' keys: [[word, epoch, member, a, b], ...]
--   commit  a = position, b = resolved   the target acknowledged the batch in flight
--   raise   a = position, b = resolved   nothing came up to `resolved`; takes part in step if it can (join)
--   begin   a = intent as JSON {to: resolved at its end, ...}, b = "<smallest row timestamp> <largest> <number of timestamps>"   before anything is sent (I1, I4)
--   leave   clean stop: no hold any more; refused with a batch in flight
--   abandon a = reason   the batch can never succeed; it is noted as unsettled, unless there is no reason
-- Answers, as JSON, [tick to send or '', last tick granted, answer, answer, ...]: STEP, BEHIND (of commit, raise), `BASE <ts>` (of begin behind),
--   OK, LOST (not the caller's lease), BUSY (a batch is in flight), BACKWARD (I5), NOTHING (no such batch).
local gate, clock, owner = KEYS[1], KEYS[2], ARGV[1]
local state = {}
local flat = redis.call('HGETALL', gate)
for i = 1, #flat, 2 do state[flat[i]] = flat[i + 1] end

local function put(field, value)
  state[field] = value
  redis.call('HSET', gate, field, value)
end

local function drop(field)
  if state[field] then
    state[field] = nil
    redis.call('HDEL', gate, field)
  end
end

local function least(prefixes)
  local found = nil
  for field, value in pairs(state) do
    if string.find(prefixes, string.sub(field, 1, 2), 1, true) and (not found or value < found) then found = value end
  end
  return found
end

-- A new gate begins at the source's present time: the standby may have been ticked up to it before, by others. Not with
-- a hold, taken before that time was known: a tick is never above one (I3).
if not state.tick and not least('s:b:') then
  local offset = redis.call('HGET', clock, 'offset')
  if offset then put('tick', ts_floor(ts_text(now_ms() + tonumber(offset), 0))) end
end

-- Never ahead of the source's clock as last seen, less a second: what resumes can get in step again.
local function keepalive()
  local offset = ARGV[3] == '1' and redis.call('HGET', clock, 'offset')
  if not offset then return '' end
  return ts_floor(ts_text(now_ms() + tonumber(offset) - 1000, 0))
end

-- Whether a member may be in step from `resolved` on; `last` is the highest timestamp it ever sent.
local function may_join(member, resolved, last)
  if state['s:' .. member] then return true end
  local unknown = ts_parts(resolved) == 0 -- no tick of the source was seen yet: a hold that low would stop everybody
  return not (unknown or resolved < (state.tick or '') or resolved < (last or ''))
end

local operations = {}

function operations.commit(channel, member, position, resolved)
  local fields = redis.call('HMGET', channel, 'inflight', 'last', 'resolved')
  if not fields[1] or cjson.decode(fields[1]).to ~= resolved then
    if fields[3] < resolved then return 'NOTHING' end
    return state['s:' .. member] and 'STEP' or 'BEHIND' -- done before: the answer was lost
  end
  if resolved < (fields[3] or '') then return 'BACKWARD' end
  redis.call('HSET', channel, 'position', position, 'resolved', resolved)
  put('top', later(state.top, fields[2]))
  drop('b:' .. member)
  redis.call('HDEL', channel, 'inflight', 'base', 'gate')
  if not may_join(member, resolved, fields[2]) then return 'BEHIND' end
  put('s:' .. member, resolved) -- I2: the hold rises with the record
  redis.call('HSET', channel, 'gate', gate)
  return 'STEP'
end

function operations.leave(channel, member)
  if redis.call('HEXISTS', channel, 'inflight') == 1 then return 'BUSY' end
  drop('s:' .. member)
  redis.call('HDEL', channel, 'gate')
  return 'OK'
end

function operations.abandon(channel, member, reason)
  local intent = redis.call('HGET', channel, 'inflight')
  if intent and reason ~= '' then redis.call('HSET', channel, 'unsettled', intent, 'unsettled_reason', reason) end
  if intent then put('top', later(state.top, redis.call('HGET', channel, 'last'))) end -- it may be there in part
  drop('s:' .. member)
  drop('b:' .. member)
  redis.call('HDEL', channel, 'inflight', 'base', 'gate')
  return 'OK'
end

-- A round may reach Redis long after its client has given up that connection and made it anew. Rows that a killed source
-- wrote late may make another batch with the end of the one before; of the catalog's drops all have the same end.
local function is_over(intent, begun, resolved, last_begun)
  local range = cjson.decode(intent)
  if range.pchannel then return false end
  return range.to < (resolved or '') or (range.to == resolved and begun == last_begun)
end

function operations.begin(channel, member, intent, range)
  local known = redis.call('HMGET', channel, 'inflight', 'base', 'last', 'resolved', 'begun')
  if known[1] then -- the answer to this very begin may have been lost
    if known[1] ~= intent then return 'BUSY' end
    return known[2] == '' and 'STEP' or 'BASE ' .. known[2]
  end
  local begun = intent .. ' ' .. range
  if is_over(intent, begun, known[4], known[5]) then return 'BACKWARD' end -- I5
  redis.call('HSET', channel, 'begun', begun)
  local smallest, largest = string.sub(range, 1, 22), string.sub(range, 24, 45)
  local count = tonumber(string.sub(range, 47))
  local last = known[3] or ''
  if (state['s:' .. member] or '') >= smallest then -- rows below its own mark, of a source that was killed (I1)
    drop('s:' .. member)
  end
  if state['s:' .. member] then
    redis.call('HSET', channel, 'inflight', intent, 'base', '', 'last', later(last, largest), 'gate', gate)
    return 'STEP'
  end
  -- Behind: a grid cell of its own, just above all that may have been seen (I6): (line, line + 50 ms]
  local above = later(later(state.tick, last), least('s:') or keepalive())
  if above == '' then above = largest end -- a new gate: the rows' own time, not 1970 (a time to live counts from it)
  local line = ts_ceil(above)
  local base = ts_plus(line, 1)
  put('b:' .. member, line) -- I1
  redis.call('HSET', channel, 'inflight', intent, 'base', base, 'last', ts_plus(line, count), 'gate', gate)
  return 'BASE ' .. base
end

-- Nearly all operations are raises, of every idle vchannel twice a second: one read and one write each, and the holds
-- of all of them in one write behind their records and before a tick is granted.
local raised = {}

local function put_holds()
  local flat = {}
  for _, hold in ipairs(raised) do
    if state[hold] then -- none of who has left since
      flat[#flat + 1] = hold
      flat[#flat + 1] = state[hold]
    end
  end
  raised = {}
  for i = 1, #flat, 1000 do redis.call('HSET', gate, unpack(flat, i, math.min(i + 999, #flat))) end
end

local function raise(channel, epoch, member, position, resolved)
  local fields = redis.call('HMGET', channel, 'owner', 'epoch', 'inflight', 'resolved', 'last', 'gate')
  if fields[1] ~= owner or fields[2] ~= epoch then return 'LOST' end
  if fields[3] then return 'BUSY' end
  if resolved < (fields[4] or '') then return 'BACKWARD' end
  local hold, step = 's:' .. member, may_join(member, resolved, fields[5])
  if step then
    state[hold] = resolved
    raised[#raised + 1] = hold
  end
  if step and fields[6] ~= gate then
    redis.call('HSET', channel, 'position', position, 'resolved', resolved, 'gate', gate)
  else
    redis.call('HSET', channel, 'position', position, 'resolved', resolved)
  end
  return step and 'STEP' or 'BEHIND'
end

local function grant()
  put_holds()
  local bound = least('s:b:')
  local tick
  if bound then
    -- I3, and I6: what comes later is above every hold. If nothing that came before is above this one either, no message
    -- lies on both sides; else only a grid line is sure to be between messages.
    tick = bound >= (state.top or '') and bound or ts_floor(bound)
  else
    tick = keepalive()
    if state.top then tick = later(tick, ts_ceil(state.top)) end
  end
  local before = state.tick or ''
  if tick <= before then return '' end
  if before ~= '' and ts_parts(tick) - ts_parts(before) < tonumber(ARGV[2]) then return '' end
  put('tick', tick)
  return tick
end

local answer = {'', ''}
local granted = false
local given = cjson.decode(ARGV[4])
for i, operation in ipairs(given) do
  local word, epoch, member, a, b = unpack(operation)
  local channel = KEYS[3 + i]
  if word == 'begin' and not granted then
    granted = true
    if ARGV[2] ~= '' then answer[1] = grant() end
  end
  if word == 'raise' then
    answer[#answer + 1] = raise(channel, epoch, member, a, b)
  elseif mine(channel, owner, epoch) then
    answer[#answer + 1] = operations[word](channel, member, a, b)
  else
    answer[#answer + 1] = 'LOST'
  end
end
if not granted and ARGV[2] ~= '' then answer[1] = grant() end
put_holds()
answer[2] = state.tick or ''
-- Rows wait for others that may be able to raise their holds.
if #given > 0 and (state.top or '') > (state.tick or '') then redis.call('PUBLISH', KEYS[3], 'gate ' .. gate) end
return cjson.encode(answer)
