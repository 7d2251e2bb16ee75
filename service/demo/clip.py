"""The demo's clip: a made-up scene as an mp4, and questions whose answers are known."""

from dataclasses import dataclass
from pathlib import Path

from compressor.training.film import write_mp4
from compressor.training.questions import Kind, Question, questions
from compressor.training.scenes import Split
from compressor.training.timeline import draw_scene
from service.media.chunk import CHUNK_S

# of the test split, so not trained on; picked because the model gets it right, as it does most:
# its accuracy over the whole split is in its model card
SCENE_SEED = 178
DURATION_S = 16.0
KINDS = (Kind.LOOK, Kind.SOUND, Kind.MADE_BY, Kind.WORD_ORDER, Kind.SEEN_DURING)


@dataclass(frozen=True, slots=True)
class Planned:
    """A question of the demo, asked once the context reaches `ask_at_s`."""

    question: str
    expected: str
    ask_at_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """A media file and what to ask about it while it streams."""

    path: Path
    duration_s: float
    planned: tuple[Planned, ...]


def make_clip(path: Path) -> Clip:
    """Write the clip (224 px H.264, AAC) and plan its questions."""
    scene = draw_scene(Split.TEST, SCENE_SEED, DURATION_S, speech_share=1.0)
    write_mp4(scene, path)
    return Clip(path, DURATION_S, plan(questions(scene), DURATION_S))


def plan(found: list[Question], duration_s: float, number: int = 5) -> tuple[Planned, ...]:
    """Choose questions of different kinds, each asked two chunks after its evidence.

    Only kinds whose answer stays true while the scene goes on, and only as long as the stream
    still runs when they are asked.
    """
    planned: list[Planned] = []
    for kind in KINDS:
        for question in found:
            ask_at_s = (question.at_s // CHUNK_S + 2) * CHUNK_S
            if question.kind is kind and ask_at_s < duration_s:
                planned.append(Planned(question.text, question.answer, ask_at_s))
                break
    return tuple(sorted(planned[:number], key=lambda one: one.ask_at_s))
