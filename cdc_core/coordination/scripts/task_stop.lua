-- Pauses a task that cannot go on by itself; by the engine.
-- KEYS: 1 task hash, 2 wake (pub/sub)
-- ARGV: 1 reason, 2 id
-- Answers 1, or 0 when it was not to run anyway.
if redis.call('HGET', KEYS[1], 'desired') ~= 'RUNNING' then return 0 end
redis.call('HSET', KEYS[1], 'desired', 'PAUSED', 'state', 'Paused', 'reason', ARGV[1])
redis.call('PUBLISH', KEYS[2], ARGV[2])
return 1
