-- Gives a lease back.
-- KEYS: 1 channel hash, 2 wake (pub/sub)
-- ARGV: 1 owner, 2 epoch, 3 outcome: '' (may be taken again), done (never again), stopped (not before a resume),
--       4 reason ('' clears it), 5 back-off in ms before it may be taken again, 6 for how many ms a call of what is in
--       flight may live on in the target
-- Answers 1, or 0 when the lease was not the caller's.
local channel = KEYS[1]
if not mine(channel, ARGV[1], ARGV[2]) then return 0 end
redis.call('HDEL', channel, 'owner', 'deadline', 'yield')
for field, ms in pairs({backoff = tonumber(ARGV[5]), unclear = tonumber(ARGV[6])}) do
  if ms > 0 then
    redis.call('HSET', channel, field, string.format('%d', now_ms() + ms))
  else
    redis.call('HDEL', channel, field)
  end
end
if ARGV[3] == 'done' then redis.call('HSET', channel, 'done', '1') end
if ARGV[3] == 'stopped' then redis.call('HSET', channel, 'stopped', ARGV[4]) end
if ARGV[4] ~= '' then
  redis.call('HSET', channel, 'reason', ARGV[4])
else
  redis.call('HDEL', channel, 'reason')
end
redis.call('PUBLISH', KEYS[2], 'reconcile')
return 1
