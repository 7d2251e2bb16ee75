from itertools import pairwise

from clients.sdk.media.pulse import DEAD_S, SUSPECT_S, Pulse


def test_end_that_reports_is_neither_suspect_nor_dead() -> None:
    pulse = Pulse(0.0)

    for second in range(60):
        pulse.hear(second, float(second))

        assert not pulse.is_suspect(float(second))
        assert not pulse.is_dead(float(second))


def test_same_report_again_is_no_sign_of_life() -> None:
    pulse = Pulse(0.0)
    pulse.hear("one", 1.0)
    pulse.hear("one", 1.0 + DEAD_S)

    assert not pulse.is_dead(1.0 + DEAD_S)
    assert pulse.is_dead(1.1 + DEAD_S)


def test_silent_end_is_asked_after_again_and_again_until_it_is_dead() -> None:
    pulse = Pulse(0.0)
    asked = [step / 4 for step in range(60) if pulse.is_suspect(step / 4)]

    assert asked[0] == SUSPECT_S + 0.25
    assert {later - sooner for sooner, later in pairwise(asked)} == {SUSPECT_S + 0.25}
    assert len(asked) > 3


def test_report_after_a_silence_ends_the_suspicion() -> None:
    pulse = Pulse(0.0)
    assert pulse.is_suspect(3.0)
    pulse.hear("back", 4.0)

    assert not pulse.is_suspect(5.5)
    assert pulse.is_suspect(6.5)
