-- Notes how far the source's clock is from Redis' one; the least lag ever seen counts.
-- KEYS: 1 source clock (hash: offset in ms)
-- ARGV: 1 the newest source tick in ms, 2 how long ago it was seen, in ms
note_source_clock(KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[2]))
return 1
