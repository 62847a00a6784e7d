-- Deletes the record of a channel and, at its gate, the hold that it would have been given up by.
-- KEYS: 1 channel hash, 2 channels of the task
-- ARGV: 1 the channel's name, 2 its name as a member of a gate
-- Answers 1.
local gate = redis.call('HGET', KEYS[1], 'gate')
if gate then redis.call('HDEL', gate, 's:' .. ARGV[2], 'b:' .. ARGV[2]) end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
return 1
