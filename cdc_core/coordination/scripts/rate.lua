-- Takes what one batch needs of a task's rates, and says how long it has to wait for it.
-- The hash: `rows`, `bytes`, each the time (Redis' ms) from which on nothing of what was taken is owed any more.
-- KEYS: 1 rates of the task
-- ARGV: 1 rows of the batch, 2 rows a second, 3 its bytes, 4 bytes a second; 0 a second is no limit
-- Answers ms, 0 when it may go at once. What was taken stays taken: who does not send it slows the next one down a little.
local now, wait, free = now_ms(), 0, 0
for field, at in pairs({rows = 1, bytes = 3}) do
  local wanted, limit = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if limit > 0 then
    local before = math.max(now, tonumber(redis.call('HGET', KEYS[1], field) or 0))
    local after = before + math.ceil(wanted * 1000 / limit)
    redis.call('HSET', KEYS[1], field, string.format('%d', after))
    wait, free = math.max(wait, before - now), math.max(free, after - now)
  end
end
redis.call('PEXPIRE', KEYS[1], string.format('%d', math.max(1, free)))
return wait
