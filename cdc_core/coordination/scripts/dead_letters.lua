-- Records messages that cannot be read; one that is known already is neither listed nor counted again.
-- KEYS: 1 dead letters of the task (hash: count, and number -> `<ms> <entry>`), 2 where those are that were counted
--       (set), 3 task hash
-- ARGV: 1 how many are listed, 2 how many places are remembered (beyond, one that is read twice counts twice: the count
--       is never too low), then two per message: its place, its entry
-- Answers how many were new; 0 when there is no such task any more.
local letters, places = KEYS[1], KEYS[2]
if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
local new = 0
for i = 3, #ARGV, 2 do
  if redis.call('SISMEMBER', places, ARGV[i]) == 0 then
    new = new + 1
    local count = redis.call('HINCRBY', letters, 'count', 1)
    if count <= tonumber(ARGV[1]) then
      redis.call('HSET', letters, tostring(count), string.format('%d %s', now_ms(), ARGV[i + 1]))
    end
    if count <= tonumber(ARGV[2]) then redis.call('SADD', places, ARGV[i]) end
  end
end
return new
