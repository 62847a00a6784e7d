-- Becomes or stays the leader among the workers.
-- KEYS: 1 leader
-- ARGV: 1 worker id, 2 time to live in ms ('0' steps down)
-- Answers 1 when the caller leads now.
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
