from pathlib import Path

import av
import pytest

from chaos.clips import ASKED, SCENE_S, WINDOW_S, make_clip


def test_window_holds_a_whole_pass_wherever_the_stream_stands() -> None:
    assert WINDOW_S >= 2 * SCENE_S


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_question_has_an_answer_in_its_scene(number: int, tmp_path: Path) -> None:
    clip = make_clip(tmp_path, number)

    assert clip.question == ASKED[number][1]
    assert clip.answer.isalpha()
    with av.open(str(clip.path)) as container:
        assert container.streams.video
        assert container.streams.audio
