from collections import Counter

import pytest

from chaos.schedule import KILLED, PARTITIONS, PAUSED, REDIS_AWAY_S, Harm, Part, kill, plan


def test_every_part_is_killed_as_often_as_every_other_give_or_take_one() -> None:
    counts = Counter(fault.part for fault in plan(3, num_kills=20))

    assert set(counts) == set(KILLED)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_seed_decides_the_order() -> None:
    assert plan(1, num_kills=20) == plan(1, num_kills=20)
    assert plan(1, num_kills=20) != plan(2, num_kills=20)


def test_pauses_and_losses_are_mixed_in() -> None:
    faults = plan(0, num_kills=2, num_pauses=3, num_losses=1)

    assert Counter(fault.harm for fault in faults) == {Harm.KILL: 2, Harm.PAUSE: 3, Harm.LOSS: 1}
    assert {f.part for f in faults if f.harm is Harm.PAUSE} == set(PAUSED)


def test_partitions_cut_off_publishers_and_redis_in_turn() -> None:
    faults = plan(0, num_kills=2, num_partitions=3)

    cut = [fault for fault in faults if fault.harm is Harm.PARTITION]
    assert Counter(fault.part for fault in cut) == {Part.NETWORK: 2, Part.REDIS: 1}
    # ICE gives a silent peer up after 30 s, and publishers a service that they cannot ask after 10
    assert all(0 < fault.duration_s < 10 for fault in cut)


@pytest.mark.parametrize(("part", "away_s"), [(Part.REDIS, REDIS_AWAY_S), (Part.LLM, 0.0)])
def test_redis_is_away_for_a_while_before_it_is_started_again(part: Part, away_s: float) -> None:
    assert kill(part).duration_s == away_s


def test_a_fault_is_named_by_what_is_done_to_what() -> None:
    assert str(kill(Part.LLM)) == "kill LLM"
    assert {str(fault) for fault in PARTITIONS} == {"partition network", "partition Redis"}
