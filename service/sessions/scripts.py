"""The store's writes as Lua, each atomic on the server. Knows the key layout; opens no connection.

Layout of session `sid`; the braces keep its keys in one slot of a cluster:

    omnisift:{sid}:meta     hash    the record (see fields.py), and per stage `<stage>.owner`,
                                    `.epoch`, `.expires_ms` and `.claim`; `source`: what is
                                    fetched for it
    omnisift:{sid}:log      stream  chunk records, entry id `<index>-1`
    omnisift:{sid}:sizes    list    bytes of each log entry, oldest first
    omnisift:{sid}:turns    zset    turns by order of arrival
    omnisift:{sid}:events   stream  the event feed
    omnisift:{sid}:rules    hash    watch rules by id
    omnisift:{sid}:states   hash    where each stands, by id

    omnisift:sessions       zset    ids of all sessions by creation, forgotten ones perhaps too
    omnisift:{key:id}:sessions      likewise, of one API key
    omnisift:sources        zset    ids of sessions with a source, by when its replica said last
                                    that it has it; 0: it has let go of it

All keys of a session expire together: `ttl_ms` after the last write while it is open, once at a
fixed time after it has ended. Leases are timed by the server's clock. Only commands of Redis 6.2
are used. Every script gets all the keys and `ttl_ms` first, and replies with a word: ok, missing
(no such session), ended, or one of its own.

A write whose reply is lost is sent again, so each script must survive being run twice: by its
nature, by an index, or by a nonce that names the call.
"""

from typing import Final

from service.sessions.record import SessionId

INDEX_KEY: Final = "omnisift:sessions"
SOURCES_KEY: Final = "omnisift:sources"
PARTS: Final = ("meta", "log", "sizes", "turns", "events", "rules", "states")


def keys(session_id: SessionId) -> list[str]:
    """The keys of a session, in the order that the scripts expect."""
    return [f"omnisift:{{{session_id}}}:{part}" for part in PARTS]


def index_key(key_id: str | None) -> str:
    """The index of the sessions of an API key; of all sessions, without one."""
    return INDEX_KEY if key_id is None else f"omnisift:{{key:{key_id}}}:sessions"


_PRELUDE: Final = """
local META, LOG, SIZES, TURNS, EVENTS, RULES, STATES = unpack(KEYS)
local status = redis.call('HGET', META, 'status')
local function get(field) return redis.call('HGET', META, field) end
local function set(...) return redis.call('HSET', META, ...) end
local function touch(ttl_ms)
  if status == 'ended' then ttl_ms = redis.call('PTTL', META) end
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl_ms) end
end
local function ended() return {'ended', get('end_reason') or ''} end
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

_KNOWN: Final = """
if not status then return {'missing'} end
"""

_OPEN: Final = f"""{_KNOWN}
if status == 'ended' then return ended() end
"""

# ttl_ms nonce field value ... -> ok | exists
CREATE: Final = f"""{_PRELUDE}
if status then return {{get('creation') == ARGV[2] and 'ok' or 'exists'}} end
set('creation', ARGV[2], unpack(ARGV, 3))
touch(ARGV[1])
return {{'ok'}}
"""

# ttl_ms now_s -> ok started_at_s
START: Final = f"""{_PRELUDE}{_OPEN}
redis.call('HSETNX', META, 'started_at_s', ARGV[2])
touch(ARGV[1])
return {{'ok', get('started_at_s')}}
"""

# ttl_ms status source ... -> ok | refused status
SET_STATUS: Final = f"""{_PRELUDE}{_OPEN}
for i = 3, #ARGV do
  if status == ARGV[i] then
    set('status', ARGV[2])
    touch(ARGV[1])
    return {{'ok'}}
  end
end
return {{'refused', status}}
"""

# ttl_ended_ms reason now_s nonce -> ok 1 (by this call) or 0 (before it)
# the first write is one that a server out of memory accepts: an end is what frees some
END: Final = f"""{_PRELUDE}{_KNOWN}
if status == 'ended' then return {{'ok', get('ending') == ARGV[4] and 1 or 0}} end
touch(ARGV[1])
set('status', 'ended', 'end_reason', ARGV[2], 'ended_at_s', ARGV[3], 'ending', ARGV[4])
redis.call('HDEL', META, 'source')
return {{'ok', 1}}
"""

# ttl_ms stage replica lease_ms steal_from nonce -> ok epoch is_new | owned owner
CLAIM: Final = f"""{_PRELUDE}{_OPEN}
local stage, replica, now = ARGV[2], ARGV[3], now_ms()
local owner = get(stage .. '.owner')
local is_alive = owner and tonumber(get(stage .. '.expires_ms')) > now
if is_alive and owner ~= replica and owner ~= ARGV[5] then return {{'owned', owner}} end
if owner ~= replica then
  set(stage .. '.owner', replica, stage .. '.claim', ARGV[6])
  redis.call('HINCRBY', META, stage .. '.epoch', 1)
end
set(stage .. '.expires_ms', now + tonumber(ARGV[4]))
touch(ARGV[1])
local is_new = get(stage .. '.claim') == ARGV[6]
return {{'ok', tonumber(get(stage .. '.epoch')), is_new and 1 or 0}}
"""

# ttl_ms stage replica epoch -> ok
RELEASE: Final = f"""{_PRELUDE}{_KNOWN}
local stage = ARGV[2]
if get(stage .. '.owner') == ARGV[3] and get(stage .. '.epoch') == ARGV[4] then
  redis.call('HDEL', META, stage .. '.owner', stage .. '.expires_ms', stage .. '.claim')
end
return {{'ok'}}
"""

# ttl_ms stage replica epoch index follows record max_chunks max_bytes
# video_in audio_in video_kept audio_kept
# -> ok 1 (appended) or 0 (was there) | owned owner | misplaced last_index
# the first write is the one that may be refused for lack of memory: all happens, or nothing
APPEND_CHUNK: Final = f"""{_PRELUDE}{_OPEN}
local stage, index, record = ARGV[2], ARGV[5], ARGV[7]
if get(stage .. '.owner') ~= ARGV[3] or get(stage .. '.epoch') ~= ARGV[4] then
  return {{'owned', get(stage .. '.owner') or ''}}
end
local last = get('last_index')
if tonumber(index) <= tonumber(last) then return {{'ok', 0}} end
if ARGV[6] ~= last then return {{'misplaced', last}} end

redis.call('XADD', LOG, index .. '-1', 'record', record)
local num_entries = redis.call('RPUSH', SIZES, #record)
local num_bytes = redis.call('HINCRBY', META, 'log_bytes', #record)
while num_entries > 1 and (num_entries > tonumber(ARGV[8]) or num_bytes > tonumber(ARGV[9])) do
  num_bytes = redis.call('HINCRBY', META, 'log_bytes', -redis.call('LPOP', SIZES))
  num_entries = num_entries - 1
end
redis.call('XTRIM', LOG, 'MAXLEN', num_entries)

set('last_index', index)
redis.call('HINCRBY', META, 'num_chunks', 1)
redis.call('HINCRBY', META, 'video_in', ARGV[10])
redis.call('HINCRBY', META, 'audio_in', ARGV[11])
redis.call('HINCRBY', META, 'video_kept', ARGV[12])
redis.call('HINCRBY', META, 'audio_kept', ARGV[13])
touch(ARGV[1])
return {{'ok', 1}}
"""

# ttl_ms replica epoch source (none: '') -> ok | owned owner
KEEP_SOURCE: Final = f"""{_PRELUDE}{_OPEN}
if get('ingest.owner') ~= ARGV[2] or get('ingest.epoch') ~= ARGV[3] then
  return {{'owned', get('ingest.owner') or ''}}
end
if ARGV[4] == '' then redis.call('HDEL', META, 'source') else set('source', ARGV[4]) end
touch(ARGV[1])
return {{'ok'}}
"""

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# of the index of sources: session_id -> ok
BEAT_SOURCE: Final = f"""{_NOW}
redis.call('ZADD', KEYS[1], now, ARGV[1])
return {{'ok'}}
"""

# likewise: silent_ms limit -> ok session_id ...
SILENT_SOURCES: Final = f"""{_NOW}
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1], 'LIMIT', 0, ARGV[2])
return {{'ok', unpack(found)}}
"""

# ttl_ms lag_s -> ok
SET_LAG: Final = f"""{_PRELUDE}{_KNOWN}
set('lag_s', ARGV[2])
touch(ARGV[1])
return {{'ok'}}
"""

# ttl_ms turn max_turns -> ok
ADD_TURN: Final = f"""{_PRELUDE}{_KNOWN}
if not redis.call('ZSCORE', TURNS, ARGV[2]) then
  redis.call('ZADD', TURNS, redis.call('HINCRBY', META, 'num_turns', 1), ARGV[2])
  redis.call('ZREMRANGEBYRANK', TURNS, 0, -1 - ARGV[3])
end
touch(ARGV[1])
return {{'ok'}}
"""

# ttl_ms rule_id rule max_rules -> ok | full
ADD_RULE: Final = f"""{_PRELUDE}{_OPEN}
local is_new = redis.call('HEXISTS', RULES, ARGV[2]) == 0
if is_new and redis.call('HLEN', RULES) >= tonumber(ARGV[4]) then return {{'full'}} end
redis.call('HSET', RULES, ARGV[2], ARGV[3])
touch(ARGV[1])
return {{'ok'}}
"""

# ttl_ms rule_id -> ok 1 (there was one) or 0
REMOVE_RULE: Final = f"""{_PRELUDE}{_KNOWN}
redis.call('HDEL', STATES, ARGV[2])
return {{'ok', redis.call('HDEL', RULES, ARGV[2])}}
"""

# ttl_ms max_events index, then rule_id state event nonce of each (no event: '')
# -> ok, then for each 1 (kept) or 0 (judged by that chunk or a later one before, or removed)
# a call sent again finds its own states
SETTLE_RULES: Final = f"""{_PRELUDE}{_OPEN}
local reply = {{'ok'}}
for i = 4, #ARGV, 4 do
  local id, state, event = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local before = redis.call('HGET', STATES, id)
  local is_late = before and cjson.decode(before)['index'] >= tonumber(ARGV[3])
  local is_kept = before == state
  if not is_kept and not is_late and redis.call('HEXISTS', RULES, id) == 1 then
    redis.call('HSET', STATES, id, state)
    if event ~= '' then
      redis.call('XADD', EVENTS, 'MAXLEN', ARGV[2], '*', 'event', event, 'nonce', ARGV[i + 3])
    end
    is_kept = true
  end
  table.insert(reply, is_kept and 1 or 0)
end
touch(ARGV[1])
return reply
"""

# ttl_ms event nonce max_events -> ok
# a call sent again finds its own nonce among the newest events
PUBLISH: Final = f"""{_PRELUDE}{_KNOWN}
for _, entry in ipairs(redis.call('XREVRANGE', EVENTS, '+', '-', 'COUNT', 16)) do
  if entry[2][4] == ARGV[3] then return {{'ok'}} end
end
redis.call('XADD', EVENTS, 'MAXLEN', ARGV[4], '*', 'event', ARGV[2], 'nonce', ARGV[3])
touch(ARGV[1])
return {{'ok'}}
"""
