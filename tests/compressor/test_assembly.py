import torch

from compressor.assembly import SelectedAudio, assemble
from compressor.batch import Batch, Request
from compressor.tokens import TokenCounts
from compressor.video import PrunedVideo, StreamState
from tests.tensors import make_token_chunk

CHUNKS = [make_token_chunk(seed, grid_sizes=(3, 3), num_audio=4, start_s=2.0) for seed in range(2)]
BATCH = Batch.of([Request(place, chunk, StreamState(), None) for place, chunk in enumerate(CHUNKS)])
VIDEO_INDEX = torch.tensor([[0, 2, 5], [1, 3, 4]])
AUDIO_INDEX = torch.tensor([[1, 3], [0, 2]])


def make_video(is_kept: torch.Tensor | None, num_kept: tuple[int, ...]) -> PrunedVideo:
    all_video = torch.cat(BATCH.grids, dim=1)
    embeddings = torch.stack([all_video[row, VIDEO_INDEX[row]] for row in range(2)])
    scores = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    return PrunedVideo(embeddings, VIDEO_INDEX, scores, is_kept, num_kept, (True, True))


def make_audio() -> SelectedAudio:
    embeddings = torch.stack([BATCH.audio[row, AUDIO_INDEX[row]] for row in range(2)])
    return SelectedAudio(embeddings, AUDIO_INDEX, torch.tensor([[0.7, 0.8], [0.9, 1.0]]))


def test_both_modalities_are_joined_in_order() -> None:
    done = assemble(BATCH, make_video(None, (3, 3)), make_audio())

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


def test_counts_may_differ_from_chunk_to_chunk() -> None:
    is_kept = torch.tensor([[True, False, False], [True, False, True]])

    done = assemble(BATCH, make_video(is_kept, (1, 2)), make_audio())

    assert [chunk.kept.tolist() for chunk in done] == [[0, 7, 9], [1, 4, 6, 8]]
    assert [chunk.counts_kept for chunk in done] == [TokenCounts(1, 2), TokenCounts(2, 2)]
    torch.testing.assert_close(done[1].scores, torch.tensor([0.4, 0.6, 0.9, 1.0]))
    for source, chunk in zip(CHUNKS, done, strict=True):
        everything = torch.cat([*source.grids, source.audio])
        assert torch.equal(chunk.embeddings, everything[chunk.kept])
        assert torch.equal(chunk.positions, source.positions[:, chunk.kept])


def test_all_audio_is_kept_with_score_one() -> None:
    audio = SelectedAudio.all_of(BATCH.audio)

    assert audio.index.tolist() == [[0, 1, 2, 3]] * 2
    assert torch.equal(audio.embeddings, BATCH.audio)
    assert torch.equal(audio.scores, torch.ones(2, 4))
