from compressor.evaluation.methods import Entry
from compressor.evaluation.quality import Mark
from compressor.evaluation.table import Row, as_json, markdown
from compressor.tokens import TokenCounts
from compressor.training.questions import Kind


def row(method: str, ratio: float, right: int) -> Row:
    marks = [
        Mark((0, clip), Kind.LOOK, clip < right, 1.0, is_on_screen=None, is_unseen=False)
        for clip in range(10)
    ]
    kept = TokenCounts(round(60 * ratio), round(40 * ratio))
    return Row(Entry(method, ratio), {0: marks[:5], 1: marks[5:]}, TokenCounts(60, 40), kept)


ROWS = [row("full", 1.0, 10), row("omnisift", 0.25, 8)]


def test_json_has_accuracy_by_method_and_ratio() -> None:
    found = as_json(ROWS)

    assert found["accuracy"] == {"full": {"1.0": 1.0}, "omnisift": {"0.25": 0.8}}
    assert found["by_seed"] == {"full": {"1.0": [1.0, 1.0]}, "omnisift": {"0.25": [1.0, 0.6]}}
    assert found["kept"] == {"full": {"1.0": 1.0}, "omnisift": {"0.25": 0.25}}
    assert (found["questions"], found["seeds"]) == (10, 2)


def test_tables_have_a_row_per_method_and_show_gaps() -> None:
    text = markdown(ROWS)

    assert "| full | 1.0 | 1.000 | 100.0 ± 0.0 |" in text
    assert "| omnisift | 0.25 | 0.250 | 80.0 ±" in text
    assert "| omnisift | 0.25 | -20.0 |" in text
    assert "| method | keep ratio | kept | all | vision | seen looks |" in text
    assert "| questions |  |  | 10 | 10 | 10 |" in text


def test_what_nothing_was_asked_about_has_no_column() -> None:
    text = markdown(ROWS)

    assert "| method | keep ratio | kept | look |\n" in text
    assert "| - |" not in text
    assert " sound " not in text
