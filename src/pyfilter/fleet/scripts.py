# What Redis itself does, in one step each (Lua); it trusts no value that somebody else may have set.

# One subject's record replaces an older one, and a ban one that ends sooner; only what replaced
# something is streamed. Returned are the records that stood their ground.
# ARGV: now, most streamed, then three a record: subject, "KIND AT END", sealed record.
PUT = """
local stood = {}
local now = tonumber(ARGV[1])
for i = 3, #ARGV, 3 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  local newer = true
  if old then
    local k, a, e = string.match(string.sub(old, 1, 99), '^(%S+) (%S+) (%S+) ')
    local nk, na, ne = string.match(ARGV[i+1], '^(%S+) (%S+) (%S+)$')
    a, e, na, ne = tonumber(a), tonumber(e), tonumber(na), tonumber(ne)
    if a and e and a < now + 300 and #old < 4096 then
      if k == 'ban' and nk == 'ban' then
        newer = ne > e or e < na
      else
        newer = na > a or (na == a and nk == 'release' and k ~= 'release')
      end
    end
  end
  if newer then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1] .. ' ' .. ARGV[i+2])
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'r', ARGV[i+2])
  else
    stood[#stood+1] = string.match(old, '^%S+ %S+ %S+ (.*)$')
  end
end
return stood
"""

# A page of the snapshot; what has ended or is too large to be a record is taken out.
# ARGV: cursor, count, largest, now, seconds for which a release is remembered.
PAGE = """
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local largest, now, tomb = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local page = {found[1]}
for i = 1, #found[2], 2 do
  local field, value = found[2][i], found[2][i+1]
  local k, a, e, record = string.match(string.sub(value, 1, largest + 99),
    '^(%S+) (%S+) (%S+) (.*)$')
  a, e = tonumber(a), tonumber(e)
  local large = #value > largest + 99 or #field > 99
  local lifts, holds = k == 'release' or k == 'disallow', k == 'ban' or k == 'allow'
  if not large and ((lifts and a and a + tomb < now) or (holds and e and e < now)) then
    redis.call('HDEL', KEYS[1], field)
  else
    page[#page+1] = record or string.sub(value, 1, largest + 99)
    if large then redis.call('HDEL', KEYS[1], field) end
  end
end
return page
"""

# A batch of evidence. ARGV: most batches, sealed batch, oldest place in milliseconds.
COUNTED = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'r', ARGV[2])
redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[3])
return 0
"""

# Presence. ARGV: name, "NOW MARK", epoch if there is none, whether all servers are wanted.
HERE = """
local before = redis.call('HGET', KEYS[1], ARGV[1]) or ''
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'NX')
local now = tonumber(string.match(ARGV[2], '^%S+'))
local answer = {string.sub(redis.call('GET', KEYS[2]), 1, 64), string.sub(before, 1, 64)}
if ARGV[4] == '1' and redis.call('HLEN', KEYS[1]) <= 20000 then
  local seen = redis.call('HGETALL', KEYS[1])
  for i = 1, #seen, 2 do
    local at = string.match(string.sub(seen[i+1], 1, 32), '^%S+')
    if #seen[i] > 253 or not tonumber(at) or tonumber(at) < now - 604800 then
      redis.call('HDEL', KEYS[1], seen[i])
    else
      answer[#answer+1] = seen[i]
      answer[#answer+1] = at
    end
  end
end
return answer
"""
