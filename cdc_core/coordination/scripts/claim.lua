-- Takes the lease of a channel.
-- KEYS: 1 channel hash, 2 task hash
-- ARGV: 1 owner, 2 ticket, 3 time to live in ms, 4 for how many ms after the end of a lease its last call may live on
-- Answers {word, epoch, ms, field, value, ...}: OK with all fields of the channel, and for how long a call of what is in
-- flight may live on in the target, 0 if none can; SETTLE likewise, when only a batch of unclear fate is to be settled;
-- else GONE, STOPPED, STALE (not the current ticket), TAKEN, IDLE (not to run).
local channel, task = KEYS[1], KEYS[2]
local held = redis.call('HMGET', channel, 'owner', 'deadline', 'ticket', 'done', 'stopped', 'epoch', 'kind', 'unsettled',
  'inflight', 'unclear')
local desired = redis.call('HGET', task, 'desired')
if not held[7] or held[4] or not desired then return {'GONE'} end
-- The API invites to a new task's catalog without a ticket of the leader's.
local invited = ARGV[2] == 'api' and held[7] == 'catalog'
if not invited and held[3] ~= ARGV[2] then return {'STALE'} end
local now = now_ms()
if held[1] and tonumber(held[2]) > now then return {'TAKEN'} end
local word = 'OK'
local halted = held[5] or held[8] -- a batch that was given up may be on the target in part: no resume helps
if desired ~= 'RUNNING' or halted then
  if not unsettled(channel) then return {halted and 'STOPPED' or 'IDLE'} end
  word = 'SETTLE'
end
-- Known from who gave it back (release.lua), and of one whose lease ran out: until then it may have called.
local unclear = tonumber(held[10] or '0')
if held[1] and held[9] then unclear = math.max(unclear, tonumber(held[2]) + tonumber(ARGV[4])) end
local epoch = string.format('%d', tonumber(held[6] or '0') + 1)
redis.call('HSET', channel, 'owner', ARGV[1], 'epoch', epoch, 'deadline', string.format('%d', now + tonumber(ARGV[3])))
redis.call('HDEL', channel, 'ticket', 'ticket_at', 'ticket_for', 'yield')
if held[7] == 'catalog' and word == 'OK' and redis.call('HGET', task, 'state') == 'Initial' then
  redis.call('HSET', task, 'state', 'Running')
end
local answer = {word, epoch, string.format('%d', math.max(0, unclear - now))}
for _, item in ipairs(redis.call('HGETALL', channel)) do answer[#answer + 1] = item end
return answer
