import pytest
import torch

from service.media.backlog import Backlog, Loss
from service.media.chunk import Gap, MediaChunk

GRID = torch.zeros(2, 3, 28, 28, dtype=torch.uint8)


def make_chunk(index: int, *, has_video: bool = True, has_audio: bool = True) -> MediaChunk:
    grids = (GRID, GRID) if has_video else ()
    return MediaChunk(index, grids, torch.zeros(128, 200 if has_audio else 0))


def test_chunks_leave_in_the_order_they_came() -> None:
    backlog = Backlog(2)

    losses = [*backlog.push(make_chunk(3)), *backlog.push(make_chunk(5))]

    assert losses == []
    assert [chunk.index for chunk in (backlog.pop(), backlog.pop()) if chunk] == [3, 5]
    assert backlog.pop() is None


def test_the_oldest_video_goes_first_and_its_audio_stays() -> None:
    backlog = Backlog(2)
    chunks = [make_chunk(index) for index in range(3)]

    losses = [loss for chunk in chunks for loss in backlog.push(chunk)]

    assert losses == [Loss(0, "video")]
    stripped = backlog.pop()
    assert stripped is not None
    assert stripped.grids == (None, None)
    assert stripped.mel.shape == (128, 200)
    assert stripped.gaps == (Gap("video", 0.0, 2.0),)
    assert [backlog.pop(), backlog.pop()] == chunks[1:]


def test_a_chunk_goes_when_even_its_audio_is_too_much() -> None:
    backlog = Backlog(2)

    losses = [loss for index in range(5) for loss in backlog.push(make_chunk(index))]

    assert losses == [Loss(0, "video"), Loss(1, "video"), Loss(2, "video"), Loss(0, "chunk")]
    assert len(backlog) == 4


def test_a_chunk_of_video_alone_goes_whole() -> None:
    backlog = Backlog(1)

    losses = [
        loss for index in range(3) for loss in backlog.push(make_chunk(index, has_audio=False))
    ]

    assert losses == [Loss(0, "chunk"), Loss(1, "chunk")]
    assert len(backlog) == 1


def test_audio_alone_may_wait_twice_as_long() -> None:
    backlog = Backlog(2)

    losses = [backlog.push(make_chunk(index, has_video=False)) for index in range(5)]

    assert losses == [[], [], [], [], [Loss(0, "chunk")]]


def test_gaps_told_of_a_stripped_chunk_are_one_for_video_and_those_of_audio() -> None:
    backlog = Backlog(1)
    gaps = (Gap("audio", 0.0, 0.2), Gap("video", 0.5, 0.5), Gap("audio", 1.0, 0.1))
    backlog.push(MediaChunk(0, (GRID, None), torch.zeros(128, 200), gaps))

    backlog.push(make_chunk(1))

    stripped = backlog.pop()
    assert stripped is not None
    assert stripped.gaps == (Gap("video", 0.0, 2.0), Gap("audio", 0.0, 0.2), Gap("audio", 1.0, 0.1))


def test_a_backlog_holds_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Backlog(0)
