-- Stores a new task, with the record of its catalog.
-- KEYS: 1 schema, 2 tasks, 3 revision of the tasks, 4 task hash, 5 channels of the task, 6 channel hash of its catalog,
--       7 wake (pub/sub), 8 source clock
-- ARGV: 1 schema version, 2 what is put before an id to make its task hash, 3 limit of tasks, 4 the revision of which
--       the caller knew all tasks, 5 id, 6 spec, 7 begin, 8 created, 9 the catalog's name,
--       10 the source's newest time tick in ms, 0 when none was seen
-- Answers one of: CREATED; EXISTS; DELETING (that id is still being deleted); STALE (the tasks have changed meanwhile:
--   look at them again); LIMIT; `SCHEMA <version>`.
local schema = redis.call('GET', KEYS[1])
if schema and schema ~= ARGV[1] then return 'SCHEMA ' .. schema end
local desired = redis.call('HGET', KEYS[4], 'desired')
if desired == 'DELETED' then return 'DELETING' end
if desired then return 'EXISTS' end
if (redis.call('GET', KEYS[3]) or '0') ~= ARGV[4] then return 'STALE' end
local live = 0
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local other = redis.call('HGET', ARGV[2] .. id, 'desired')
  if other and other ~= 'DELETED' then live = live + 1 end
end
if live >= tonumber(ARGV[3]) then return 'LIMIT' end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('INCR', KEYS[3])
redis.call('SADD', KEYS[2], ARGV[5])
redis.call('HSET', KEYS[4], 'spec', ARGV[6], 'begin', ARGV[7], 'created', ARGV[8])
redis.call('HSET', KEYS[4], 'desired', 'RUNNING', 'state', 'Initial', 'reason', '')
redis.call('SADD', KEYS[5], ARGV[9])
redis.call('HSET', KEYS[6], 'kind', 'catalog')
note_source_clock(KEYS[8], tonumber(ARGV[10]))
redis.call('PUBLISH', KEYS[7], ARGV[5])
return 'CREATED'
