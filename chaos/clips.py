"""Clips that can be streamed for ever and asked about at any time, with answers that are known."""

from dataclasses import dataclass
from pathlib import Path

from compressor.training.film import write_mp4
from compressor.training.questions import Kind, questions
from compressor.training.scenes import Split
from compressor.training.timeline import draw_scene

SCENE_S = 8.0
# two passes: wherever the stream stands, a whole one is among them even if some of it was lost
WINDOW_S = 16.0
# of the test split, so not trained on; of each scene, a look that the model gets right wherever in
# its loop the stream stands and however old it is (tried over four minutes, at two phases of a
# chunk, with `CONTEXT_TOKENS`): a wrong answer then is the service's fault
ASKED = (
    (4, "What shape was the purple object?"),
    (5, "What shape was the purple object?"),
    (6, "What shape was the purple object?"),
    (7, "What shape was the green object?"),
    (13, "What shape was the red object?"),
    (15, "What shape was the cyan object?"),
)
# about a minute, as long as what the model was trained on: beyond that its looks get worse
CONTEXT_TOKENS = 1280


@dataclass(frozen=True, slots=True)
class Clip:
    """A media file to loop, and a question about any `WINDOW_S` of it."""

    path: Path
    question: str
    answer: str


def make_clip(folder: Path, number: int) -> Clip:
    """Write a clip (224 px H.264, AAC); numbers beyond the scenes there are repeat them."""
    seed, text = ASKED[number % len(ASKED)]
    scene = draw_scene(Split.TEST, seed, SCENE_S)
    answer = next(q.answer for q in questions(scene) if q.kind is Kind.LOOK and q.text == text)
    path = folder / f"scene-{number}.mp4"
    write_mp4(scene, path)
    return Clip(path, text, answer)


__all__ = ["CONTEXT_TOKENS", "WINDOW_S", "Clip", "make_clip"]
