from pathlib import Path

from compressor.evaluation.methods import Entry
from compressor.evaluation.plot import draw
from compressor.evaluation.quality import Mark
from compressor.evaluation.table import Row
from compressor.tokens import TokenCounts
from compressor.training.questions import Kind


def test_a_picture_is_written(tmp_path: Path) -> None:
    marks = [
        Mark((0, c), Kind.LOOK, c > 2, 1.0, is_on_screen=None, is_unseen=False) for c in range(9)
    ]
    rows = [
        Row(
            Entry("omnisift", ratio),
            {0: marks},
            TokenCounts(60, 40),
            TokenCounts(int(60 * ratio), int(40 * ratio)),
        )
        for ratio in (0.5, 0.25)
    ]

    draw(rows, tmp_path / "plot.svg")

    text = (tmp_path / "plot.svg").read_text()
    assert "<svg" in text
