-- Sets fields of a channel's record, if there is one: of a forgotten channel nothing may be left that nobody deletes.
-- KEYS: 1 channel hash
-- ARGV: field, value, field, value, ...
-- Answers 1, or 0 when it is gone.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
