import pytest
import torch

from compressor.assembly import SelectedAudio, Tally, assemble, kept_flags
from compressor.batch import Batch, Request
from compressor.tokens import CompressedChunk, TokenCounts
from compressor.video import PrunedVideo, StreamState
from tests.tensors import make_token_chunk

CHUNKS = [make_token_chunk(seed, grid_sizes=(3, 3), num_audio=4, start_s=2.0) for seed in range(2)]
BATCH = Batch.of([Request(place, chunk, StreamState(), None) for place, chunk in enumerate(CHUNKS)])
VIDEO_INDEX = torch.tensor([[0, 2, 5], [1, 3, 4]])
AUDIO_INDEX = torch.tensor([[1, 3], [0, 2]])


def make_video(
    is_kept: torch.Tensor | None = None, is_fresh: torch.Tensor | None = None
) -> PrunedVideo:
    all_video = torch.cat(BATCH.grids, dim=1)
    embeddings = torch.stack([all_video[row, VIDEO_INDEX[row]] for row in range(2)])
    scores = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    return PrunedVideo(embeddings, VIDEO_INDEX, scores, is_kept, is_fresh)


def make_audio(is_kept: torch.Tensor | None = None) -> SelectedAudio:
    embeddings = torch.stack([BATCH.audio[row, AUDIO_INDEX[row]] for row in range(2)])
    return SelectedAudio(embeddings, AUDIO_INDEX, torch.tensor([[0.7, 0.8], [0.9, 1.0]]), is_kept)


def put_together(video: PrunedVideo, audio: SelectedAudio) -> list[CompressedChunk]:
    return assemble(BATCH, video, audio, Tally.of(video, audio))


def test_both_modalities_are_joined_in_order() -> None:
    done = put_together(make_video(), make_audio())

    assert [chunk.kept.tolist() for chunk in done] == [[0, 2, 5, 7, 9], [1, 3, 4, 6, 8]]
    assert [chunk.modality.tolist() for chunk in done] == [[0, 0, 0, 1, 1]] * 2
    torch.testing.assert_close(done[0].scores, torch.tensor([0.1, 0.2, 0.3, 0.7, 0.8]))
    for source, chunk in zip(CHUNKS, done, strict=True):
        everything = torch.cat([*source.grids, source.audio])
        assert torch.equal(chunk.embeddings, everything[chunk.kept])
        assert torch.equal(chunk.positions, source.positions[:, chunk.kept])
        assert chunk.positions.is_contiguous()
        assert chunk.modality.dtype == torch.uint8
        assert (chunk.start_s, chunk.next_position) == (2.0, 76)
        assert chunk.counts_in == TokenCounts(6, 4)
        assert chunk.counts_kept == TokenCounts(3, 2)


SEEN = torch.tensor([[True, False, False], [True, False, True]])
HEARD = torch.tensor([[False, True], [True, True]])


@pytest.mark.parametrize(
    ("seen", "heard", "kept"),
    [
        (SEEN, None, [[0, 7, 9], [1, 4, 6, 8]]),
        (None, HEARD, [[0, 2, 5, 9], [1, 3, 4, 6, 8]]),
        (SEEN, HEARD, [[0, 9], [1, 4, 6, 8]]),
    ],
    ids=["video", "audio", "both"],
)
def test_counts_may_differ_from_chunk_to_chunk(
    seen: torch.Tensor | None, heard: torch.Tensor | None, kept: list[list[int]]
) -> None:
    done = put_together(make_video(seen), make_audio(heard))

    assert [chunk.kept.tolist() for chunk in done] == kept
    counts = [TokenCounts(sum(i < 6 for i in row), sum(i >= 6 for i in row)) for row in kept]
    assert [chunk.counts_kept for chunk in done] == counts
    scores = dict(zip([1, 3, 4, 6, 8], [0.4, 0.5, 0.6, 0.9, 1.0], strict=True))
    torch.testing.assert_close(done[1].scores, torch.tensor([scores[i] for i in kept[1]]))
    for source, chunk in zip(CHUNKS, done, strict=True):
        everything = torch.cat([*source.grids, source.audio])
        assert torch.equal(chunk.embeddings, everything[chunk.kept])
        assert torch.equal(chunk.positions, source.positions[:, chunk.kept])


def test_a_tally_counts_what_goes_on_and_says_which_chunks_are_fresh() -> None:
    counted = Tally.of(make_video(SEEN, torch.tensor([False, True])), make_audio(HEARD))
    by_shape = Tally.of(make_video(), make_audio())

    assert counted == Tally((TokenCounts(1, 1), TokenCounts(2, 2)), (False, True))
    assert by_shape == Tally((TokenCounts(3, 2), TokenCounts(3, 2)), (True, True))


def test_without_flags_everything_within_budget_goes_on() -> None:
    assert kept_flags(make_video()).tolist() == [[True] * 3] * 2
    assert kept_flags(make_audio(HEARD)).tolist() == HEARD.tolist()


def test_all_audio_is_kept_with_score_one() -> None:
    audio = SelectedAudio.all_of(BATCH.audio)

    assert audio.index.tolist() == [[0, 1, 2, 3]] * 2
    assert torch.equal(audio.embeddings, BATCH.audio)
    assert torch.equal(audio.scores, torch.ones(2, 4))
