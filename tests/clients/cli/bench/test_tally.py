import pytest

from clients.cli.bench.tally import Tally, quantiles, summary, table
from clients.sdk.models import ModalityTokens, Tokens

TOKENS = Tokens(ModalityTokens(100, 20), ModalityTokens(50, 25))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (None, None, None)),
        ([0.3], (0.3, 0.3, 0.3)),
        ([4, 1, 3, 2], (2, 4, 4)),
        (list(range(1, 101)), (50, 95, 100)),
    ],
)
def test_quantiles_are_values_that_were_measured(
    values: list[float], expected: tuple[float | None, ...]
) -> None:
    assert tuple(quantiles(values).values()) == expected


def test_summary_adds_publishers_up() -> None:
    tallies = [
        Tally(lags_s=[0.2, 0.4], ttfts_s=[0.1], tokens=TOKENS, num_dropped=1),
        Tally(lags_s=[0.6], num_failed=2, failure="the service is full"),
    ]

    told = summary(tallies, 20.0)

    assert (told["publishers"], told["publishers_failed"]) == (2, 1)
    assert (told["chunks"], told["chunks_dropped"]) == (3, 1)
    assert (told["questions"], told["questions_failed"]) == (1, 2)
    assert told["keep_ratio"] == 0.3
    assert told["lag_s"] == {"p50": 0.4, "p95": 0.6, "max": 0.6}
    assert told["failures"] == ["the service is full"]


def test_table_has_a_row_for_each_and_one_for_all() -> None:
    one = Tally(lags_s=[0.25], ttfts_s=[0.1], tokens=TOKENS)

    assert [row[0] for row in table([one]).rows] == ["1"]
    assert [row[0] for row in table([one, one]).rows] == ["1", "2", "all"]
    assert table([one]).rows[0][1:5] == ["1", "0", "30 %", "0.25 s"]
