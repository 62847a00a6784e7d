-- Changes what is wanted of a task: pause, resume or delete.
-- KEYS: 1 schema, 2 revision of the tasks, 3 task hash, 4 channels of the task, 5 wake (pub/sub)
-- ARGV: 1 schema version, 2 PAUSED, RUNNING or DELETED, 3 id, 4 what is put before a channel's name to make its hash
-- Answers one of: CHANGED; UNKNOWN (also when it is being deleted); ALREADY (it is so); `SCHEMA <version>`.
local schema = redis.call('GET', KEYS[1])
if schema and schema ~= ARGV[1] then return 'SCHEMA ' .. schema end
local task, wanted = KEYS[3], ARGV[2]
local held = redis.call('HMGET', task, 'desired', 'state')
if not held[1] or held[1] == 'DELETED' then return 'UNKNOWN' end
if wanted == 'PAUSED' then
  if held[2] == 'Paused' then return 'ALREADY' end
  redis.call('HSET', task, 'desired', 'PAUSED', 'state', 'Paused')
elseif wanted == 'RUNNING' then
  if held[2] == 'Running' then return 'ALREADY' end
  redis.call('HSET', task, 'desired', 'RUNNING', 'reason', '')
  if held[2] == 'Paused' then redis.call('HSET', task, 'state', 'Running') end
  for _, name in ipairs(redis.call('SMEMBERS', KEYS[4])) do
    redis.call('HDEL', ARGV[4] .. name, 'stopped', 'backoff', 'attempts', 'reason')
  end
else
  redis.call('HSET', task, 'desired', 'DELETED')
  redis.call('INCR', KEYS[2])
end
redis.call('PUBLISH', KEYS[5], ARGV[3])
return 'CHANGED'
