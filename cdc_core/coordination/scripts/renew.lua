-- Renews all leases of one process.
-- KEYS: channel hash, task hash, channel hash, task hash, ...
-- ARGV: 1 owner, 2 time to live in ms, then an epoch for each channel
-- Answers a word for each: OK, LOST (somebody else's, or gone), and, still renewed so that there is time to leave
-- cleanly: PAUSE, DELETE, YIELD (give it to another worker).
local deadline = string.format('%d', now_ms() + tonumber(ARGV[2]))
local answer = {}
for i = 1, #KEYS, 2 do
  local channel, task = KEYS[i], KEYS[i + 1]
  if not mine(channel, ARGV[1], ARGV[2 + (i + 1) / 2]) then
    answer[#answer + 1] = 'LOST'
  else
    redis.call('HSET', channel, 'deadline', deadline)
    local desired = redis.call('HGET', task, 'desired')
    if desired == 'RUNNING' then
      answer[#answer + 1] = redis.call('HEXISTS', channel, 'yield') == 1 and 'YIELD' or 'OK'
    else
      answer[#answer + 1] = desired == 'PAUSED' and 'PAUSE' or 'DELETE'
    end
  end
end
return answer
