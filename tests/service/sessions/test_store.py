import inspect

from service.sessions.record import SessionId, Stage
from service.sessions.redis_store import RedisSessionStore
from service.sessions.store import Lease, SessionStore

METHODS = [name for name in vars(SessionStore) if not name.startswith("_")]


def test_the_redis_store_implements_every_method_itself() -> None:
    # the class inherits the protocol, whose bodies would silently return None
    assert [name for name in METHODS if name not in vars(RedisSessionStore)] == []


def test_signatures_agree() -> None:
    for name in METHODS:
        promised = inspect.signature(getattr(SessionStore, name))
        kept = inspect.signature(getattr(RedisSessionStore, name))

        assert kept.parameters == promised.parameters, name


def test_leases_of_two_epochs_differ() -> None:
    lease = Lease(SessionId("s"), Stage.LLM, "a", 1, is_new=True)

    assert lease != Lease(SessionId("s"), Stage.LLM, "a", 2, is_new=True)
