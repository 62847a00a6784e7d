-- Issues a ticket for a channel that nobody runs; by the leader.
-- KEYS: 1 channel hash, 2 leader
-- ARGV: 1 leader's id, 2 the ticket, 3 the worker it is for ('' any), 4 how long the ticket is good, in ms
-- Answers 1, or 0: no longer the leader, somebody runs it, or a ticket is still good.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local held = redis.call('HMGET', KEYS[1], 'owner', 'deadline', 'ticket', 'ticket_at', 'kind')
local now = now_ms()
if not held[5] then return 0 end
if held[1] and tonumber(held[2]) > now then return 0 end
if held[3] and tonumber(held[4]) + tonumber(ARGV[4]) > now then return 0 end
redis.call('HSET', KEYS[1], 'ticket', ARGV[2], 'ticket_at', string.format('%d', now), 'ticket_for', ARGV[3])
return 1
