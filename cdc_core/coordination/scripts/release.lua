-- Gives a lease back.
-- KEYS: 1 channel hash, 2 wake (pub/sub)
-- ARGV: 1 owner, 2 epoch, 3 outcome: '' (may be taken again), done (never again), stopped (not before a resume),
--       4 reason ('' clears it), 5 back-off in ms before it may be taken again
-- Answers 1, or 0 when the lease was not the caller's.
local channel = KEYS[1]
if not mine(channel, ARGV[1], ARGV[2]) then return 0 end
redis.call('HDEL', channel, 'owner', 'deadline', 'yield')
if ARGV[3] == 'done' then redis.call('HSET', channel, 'done', '1') end
if ARGV[3] == 'stopped' then redis.call('HSET', channel, 'stopped', ARGV[4]) end
if ARGV[4] ~= '' then
  redis.call('HSET', channel, 'reason', ARGV[4])
else
  redis.call('HDEL', channel, 'reason')
end
if tonumber(ARGV[5]) > 0 then
  redis.call('HSET', channel, 'backoff', string.format('%d', now_ms() + tonumber(ARGV[5])))
else
  redis.call('HDEL', channel, 'backoff')
end
redis.call('PUBLISH', KEYS[2], 'reconcile')
return 1
