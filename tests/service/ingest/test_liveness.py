import pytest

from service.ingest.liveness import Liveness, LivenessConfig
from service.sessions.record import SessionStatus

CONFIG = LivenessConfig(no_media_s=30, idle_s=300, silent_s=10, takeover_s=5)


def begun(now_s: float = 0.0) -> Liveness:
    liveness = Liveness(CONFIG, now_s)
    liveness.begin(now_s)
    return liveness


def live(now_s: float = 0.0) -> Liveness:
    liveness = begun(now_s)
    liveness.media(now_s)
    return liveness


def test_a_publisher_connects_then_is_live_then_is_gone() -> None:
    liveness = begun()
    assert liveness.status(1.0) is SessionStatus.CONNECTING

    liveness.media(2.0)
    assert liveness.status(2.0) is SessionStatus.LIVE

    liveness.gone(3.0)
    assert liveness.status(3.0) is SessionStatus.IDLE


def test_silence_makes_a_session_idle_and_media_live_again() -> None:
    liveness = live()

    assert liveness.status(10.0) is SessionStatus.LIVE
    assert liveness.status(10.1) is SessionStatus.IDLE
    liveness.media(50.0)
    assert liveness.status(50.0) is SessionStatus.LIVE


def test_without_any_media_a_session_ends() -> None:
    liveness = begun()

    assert liveness.end_reason(29.9) is None
    assert liveness.end_reason(30.0) == "no_media"


def test_each_offer_has_its_own_time_to_bring_media() -> None:
    liveness = begun()
    liveness.gone(10.0)
    liveness.begin(20.0)

    assert liveness.end_reason(49.9) is None
    assert liveness.end_reason(50.0) == "no_media"


def test_a_publisher_that_leaves_before_any_media_does_not_prolong_it() -> None:
    liveness = begun()
    liveness.gone(10.0)

    assert liveness.end_reason(30.0) == "no_media"


def test_a_session_without_publisher_ends_after_a_while() -> None:
    liveness = live()
    liveness.gone(100.0)

    assert liveness.end_reason(399.9) is None
    assert liveness.end_reason(400.0) == "idle"


def test_a_silent_publisher_does_not_keep_a_session() -> None:
    liveness = live()

    assert liveness.end_reason(300.0) == "idle"


def test_a_failed_reconnect_does_not_end_a_session_that_was_live() -> None:
    liveness = live()
    liveness.gone(10.0)
    liveness.begin(20.0)

    assert liveness.status(60.0) is SessionStatus.CONNECTING
    assert liveness.end_reason(60.0) is None
    assert liveness.end_reason(310.0) == "idle"


def test_a_session_that_was_live_elsewhere_is_not_one_without_media() -> None:
    liveness = Liveness(CONFIG, 0.0, has_had_media=True)
    liveness.begin(0.0)

    assert liveness.end_reason(30.0) is None


@pytest.mark.parametrize(("silence_s", "may"), [(1.0, False), (5.0, False), (5.1, True)])
def test_only_a_silent_publisher_may_be_replaced(silence_s: float, may: bool) -> None:
    assert live().may_take_over(silence_s) is may
    assert begun().may_take_over(silence_s) is may


def test_without_publisher_anybody_may_come() -> None:
    liveness = live()
    liveness.gone(1.0)

    assert liveness.may_take_over(1.0)


def test_session_ends_at_its_time_limit_whoever_publishes() -> None:
    liveness = Liveness(LivenessConfig(max_session_s=3600.0), 1000.0, created_at_s=0.0)
    liveness.begin(1000.0)
    liveness.media(3599.0)

    assert liveness.end_reason(3599.9) is None
    assert liveness.end_reason(3600.0) == "time_limit"
