from service.access.limits import KeyLimits
from service.settings import AuthSettings


def test_limits_are_those_that_the_settings_begin_with() -> None:
    auth = AuthSettings()

    assert (
        KeyLimits(auth.max_sessions, auth.questions_per_minute, auth.max_questions) == KeyLimits()
    )
