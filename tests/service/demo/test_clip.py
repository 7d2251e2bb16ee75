from pathlib import Path

import av
import pytest

from compressor.training.questions import Kind, Question
from service.demo.clip import DURATION_S, Clip, make_clip, plan


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def question(kind: Kind, at_s: float) -> Question:
    return Question(kind, f"{kind.name} at {at_s}?", "yes", at_s)


def test_clip_is_an_mp4_with_both_tracks(clip: Clip) -> None:
    with av.open(str(clip.path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        num_frames = sum(1 for _ in container.decode(video))

    assert (video.width, video.height) == (224, 224)
    assert num_frames == DURATION_S * 25
    assert float(audio.duration * audio.time_base) == pytest.approx(DURATION_S, abs=0.2)


def test_at_least_three_questions_fall_within_the_stream(clip: Clip) -> None:
    times = [planned.ask_at_s for planned in clip.planned]

    assert len(times) >= 3
    assert times == sorted(times)
    assert max(times) < clip.duration_s


def test_same_clip_every_time(clip: Clip, tmp_path: Path) -> None:
    assert make_clip(tmp_path / "again.mp4").planned == clip.planned


def test_question_is_asked_once_its_evidence_is_in_context() -> None:
    (planned,) = plan([question(Kind.LOOK, 3.9)], 16.0)

    assert planned.ask_at_s == 6.0  # the chunk with 3.9 s ends at 4.0, one more for good measure


def test_question_too_late_for_the_stream_is_left_out() -> None:
    assert plan([question(Kind.LOOK, 13.0)], 16.0) == ()


def test_kinds_differ() -> None:
    found = [question(Kind.LOOK, 1.0), question(Kind.LOOK, 2.0), question(Kind.SOUND, 3.0)]

    assert [planned.question for planned in plan(found, 16.0)] == [
        "LOOK at 1.0?",
        "SOUND at 3.0?",
    ]
