import re
from pathlib import Path

from compressor.evaluation.methods import Entry
from compressor.evaluation.plot import draw
from compressor.evaluation.quality import Mark
from compressor.evaluation.table import Row
from compressor.tokens import TokenCounts
from compressor.training.questions import Kind


def row(method: str, ratio: float) -> Row:
    marks = [
        Mark((0, c), Kind.LOOK, c > 2, 1.0, is_on_screen=None, is_unseen=False) for c in range(9)
    ]
    kept = TokenCounts(int(60 * ratio), int(40 * ratio))
    return Row(Entry(method, ratio), {0: marks}, TokenCounts(60, 40), kept)


def test_a_picture_is_written(tmp_path: Path) -> None:
    draw([row("omnisift", ratio) for ratio in (0.5, 0.25)], tmp_path / "plot.svg")

    text = (tmp_path / "plot.svg").read_text()
    assert "<svg" in text


def test_every_method_has_a_colour_of_its_own(tmp_path: Path) -> None:
    methods = [f"method {number}" for number in range(13)]

    draw([row(method, 0.5) for method in methods], tmp_path / "plot.svg")

    drawn = re.findall(r"stroke: (#[0-9a-f]{6})", (tmp_path / "plot.svg").read_text())
    grey = {one for one in drawn if len({one[1:3], one[3:5], one[5:]}) == 1}
    assert len(set(drawn) - grey) >= len(methods) - 2  # two colours of the map are grey
