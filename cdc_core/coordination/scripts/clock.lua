-- Notes how far the source's clock is from Redis' one; the least lag ever seen counts.
-- KEYS: 1 source clock (hash: offset in ms), 2 origin of the state
-- ARGV: 1 the newest source tick in ms, 2 how long ago it was seen, in ms
-- Answers 1, or 0 on a state that was emptied: without a clock its gates, which have lost their holds, grant no tick.
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
note_source_clock(KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[2]))
return 1
