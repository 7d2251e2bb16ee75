"""What counts a key's sessions and questions, as Lua. Knows the key layout; opens no connection.

Layout of API key `id`, in one slot of a cluster:

    omnisift:{key:id}:open     zset  sessions taken to be open, by when they must have ended
    omnisift:{key:id}:running  zset  questions being answered, by when they are given up for lost
    omnisift:{key:id}:recent   zset  questions begun in the last minute, by when

Each set holds no more than its limit. Times are the server's, in milliseconds. A call that is sent
again because its reply was lost finds its own id there, and counts once.
"""

from typing import Final

MINUTE_MS: Final = 60_000
YOUNG_MS: Final = 30_000  # a session is admitted before its record is written


def open_key(key_id: str) -> str:
    return f"omnisift:{{key:{key_id}}}:open"


def question_keys(key_id: str) -> list[str]:
    return [f"omnisift:{{key:{key_id}}}:{part}" for part in ("running", "recent")]


_PRELUDE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# session_id limit life_ms -> ok | full, then each session_id and 1 if its record may be yet to come
OPEN_SESSION: Final = f"""{_PRELUDE}
local OPEN, life = KEYS[1], tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', OPEN, '-inf', now)
if redis.call('ZSCORE', OPEN, ARGV[1]) then return {{'ok'}} end
if redis.call('ZCARD', OPEN) >= tonumber(ARGV[2]) then
  local found = {{'full'}}
  local members = redis.call('ZRANGE', OPEN, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    local is_young = tonumber(members[i + 1]) > now + life - {YOUNG_MS}
    table.insert(found, members[i])
    table.insert(found, is_young and 1 or 0)
  end
  return found
end
redis.call('ZADD', OPEN, now + life, ARGV[1])
redis.call('PEXPIRE', OPEN, ARGV[3])
return {{'ok'}}
"""

# question_id per_minute max_running lease_ms -> ok | running | recent wait_ms
BEGIN_QUESTION: Final = f"""{_PRELUDE}
local RUNNING, RECENT, id = KEYS[1], KEYS[2], ARGV[1]
redis.call('ZREMRANGEBYSCORE', RUNNING, '-inf', now)
redis.call('ZREMRANGEBYSCORE', RECENT, '-inf', now - {MINUTE_MS})
if redis.call('ZSCORE', RUNNING, id) then return {{'ok'}} end
if redis.call('ZCARD', RUNNING) >= tonumber(ARGV[3]) then return {{'running'}} end
if redis.call('ZCARD', RECENT) >= tonumber(ARGV[2]) then
  local oldest = redis.call('ZRANGE', RECENT, 0, 0, 'WITHSCORES')
  return {{'recent', oldest[2] + {MINUTE_MS} - now}}
end
redis.call('ZADD', RUNNING, now + tonumber(ARGV[4]), id)
redis.call('PEXPIRE', RUNNING, ARGV[4])
redis.call('ZADD', RECENT, now, id)
redis.call('PEXPIRE', RECENT, {MINUTE_MS})
return {{'ok'}}
"""
