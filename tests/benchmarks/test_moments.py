from benchmarks.moments import Score, best


def test_each_moment_is_found_once() -> None:
    score = Score()

    score.count([1.0, 1.1, 9.0], [1.05, 4.0], 0.2)

    assert (score.found, score.false, score.missed) == (1, 2, 1)
    assert score.summary()["recall"] == 0.5


def test_best_threshold_is_the_one_between() -> None:
    summary = best([(0.1, False), (0.2, False), (0.6, True), (0.7, True)])

    assert (summary["threshold"], summary["precision"], summary["recall"]) == (0.6, 1.0, 1.0)
