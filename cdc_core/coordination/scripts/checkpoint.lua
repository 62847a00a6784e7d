-- Records how far a catalog is on the op channel.
-- KEYS: 1 channel hash, 2 ids of operations that are done
-- ARGV: 1 epoch, 2 position, 3 its timestamp, then the ids that need not be remembered any more
-- Answers 1, or 0 when the channel was claimed by somebody else since.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'resolved')
if held[1] ~= ARGV[1] then return 0 end
-- Two proxies may write operations in another order than that of their timestamps: I5 holds all the same.
redis.call('HSET', KEYS[1], 'position', ARGV[2], 'resolved', later(held[2], ARGV[3]))
for i = 4, #ARGV do redis.call('SREM', KEYS[2], ARGV[i]) end
return 1
