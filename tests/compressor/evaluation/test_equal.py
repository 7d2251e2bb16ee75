from compressor.evaluation.equal import equal_json, equal_markdown
from compressor.evaluation.methods import LIVE, Entry
from compressor.evaluation.quality import Mark
from compressor.evaluation.table import Row
from compressor.tokens import TokenCounts
from compressor.training.questions import Kind


def row(method: str, seen: int, heard: int, *, is_at_live: bool = True) -> Row:
    """Ten clips with a question about vision and one about sound each, so many right."""
    marks = [
        Mark((0, clip), kind, clip < right, 1.0, is_on_screen=None, is_unseen=False)
        for clip in range(10)
        for kind, right in ((Kind.LOOK, seen), (Kind.SOUND, heard))
    ]
    entry = Entry(method, 0.25, is_at_live)
    return Row(entry, {0: marks}, TokenCounts(128, 50), TokenCounts(12, 15))


ROWS = [
    Row(Entry("full", 1.0), row("full", 10, 10).marks, TokenCounts(128, 50), TokenCounts(128, 50)),
    row(LIVE, 9, 9, is_at_live=False),
    row("omnisift", 9, 7),
    row("random_trained", 8, 8),
    row("tome", 8, 7),
    row("dtd", 4, 8),
]


def test_json_has_every_method_at_the_tokens_of_live() -> None:
    found = equal_json(ROWS)

    assert found["live_keep_ratio"] == {"video": 0.0938, "audio": 0.3, "total": 0.1517}
    assert found["at_live_tokens"] == {
        "omnisift": 0.8,
        "random_trained": 0.8,
        "tome": 0.75,
        "dtd": 0.6,
    }


def test_the_lead_is_over_the_best_baseline_and_leaves_omnisift_out() -> None:
    leads = equal_json(ROWS)["lead_at_live_tokens"]

    assert isinstance(leads, dict)
    assert (leads["all"]["over"], leads["all"]["points"]) == ("random_trained", 10.0)


def test_the_lead_on_vision_is_over_the_best_that_needs_no_training() -> None:
    leads = equal_json(ROWS)["lead_at_live_tokens"]

    assert isinstance(leads, dict)
    vision = leads["vision, training-free"]
    assert (vision["over"], vision["points"]) == ("tome", 10.0)
    assert vision["interval"][0] <= 10.0 <= vision["interval"][1]


def test_the_table_compares_each_method_with_live() -> None:
    text = equal_markdown(ROWS)

    assert "| omnisift_live | 0.094 | 0.300 | 0.152 | 90.0 ±" in text
    assert any(
        line.startswith("| dtd |") and "+30.0 (" in line and "+50.0 (" in line
        for line in text.splitlines()
    )
    assert "over tome" in text


def test_without_the_live_profile_there_is_nothing_to_equal() -> None:
    assert equal_json(ROWS[:1]) == {}
    assert equal_markdown(ROWS[:1]) == ""
