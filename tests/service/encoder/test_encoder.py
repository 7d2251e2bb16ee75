import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor

from compressor.omni.mel import StreamingMel
from compressor.omni.patches import patchify
from compressor.tokens import TokenChunk
from service.encoder.encoder import OmniEncoder, num_audio_tokens
from service.media.chunk import EncodedChunk, Gap, MediaChunk

MakeChunk = Callable[..., MediaChunk]


def all_tokens(tokens: TokenChunk) -> Tensor:
    return torch.cat([*tokens.grids, tokens.audio])


def assert_close(ours: EncodedChunk, theirs: EncodedChunk) -> None:
    assert ours.grid_sizes == theirs.grid_sizes
    assert torch.equal(ours.tokens.positions, theirs.tokens.positions)
    torch.testing.assert_close(
        all_tokens(ours.tokens), all_tokens(theirs.tokens), rtol=0, atol=1e-5
    )


def test_batch_equals_one_by_one(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    chunks = [
        make_chunk(0),
        make_chunk(7, sizes=((4, 5), (4, 5)), mel_frames=123),
        make_chunk(3, sizes=((2, 2), (3, 4))),
        make_chunk(1, sizes=(), mel_frames=200),
        make_chunk(2, mel_frames=0),
        make_chunk(4, sizes=(None, (2, 3))),
        make_chunk(5, sizes=(), mel_frames=0),
    ]

    together = encoder.encode(chunks)

    for chunk, encoded in zip(chunks, together, strict=True):
        assert encoded.index == chunk.index
        assert_close(encoded, encoder.encode([chunk])[0])


def test_chunk_by_chunk_equals_one_forward_over_the_whole_clip(
    checkpoint: Path, encoder: OmniEncoder
) -> None:
    seconds, generator = 7, torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (14, 3, 84, 112), generator=generator, dtype=torch.uint8)
    samples = 0.2 * torch.randn(16_000 * seconds, generator=generator)

    encoded = encoder.encode(chunks_of_clip(frames, samples))

    thinker = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(checkpoint).eval()
    video, audio = whole_clip(thinker, frames, samples)
    streamed_video = torch.cat([grid for chunk in encoded for grid in chunk.tokens.grids])
    streamed_audio = torch.cat([chunk.tokens.audio for chunk in encoded])
    torch.testing.assert_close(streamed_video, video, rtol=0, atol=1e-4)
    torch.testing.assert_close(streamed_audio, audio, rtol=0, atol=1e-4)


def chunks_of_clip(frames: Tensor, samples: Tensor) -> list[MediaChunk]:
    """Cut as a live stream is: two frames per grid, mel in pushes of 20 ms."""
    stream = StreamingMel()
    mel = torch.cat([*(stream.push(piece) for piece in samples.split(320)), stream.flush()], dim=1)
    grids = frames.split(2)
    return [
        MediaChunk(k, grids[2 * k : 2 * k + 2], mel[:, 200 * k : 200 * (k + 1)])
        for k in range(math.ceil(len(grids) / 2))
    ]


@torch.inference_mode()
def whole_clip(
    thinker: Qwen2_5OmniThinkerForConditionalGeneration, frames: Tensor, samples: Tensor
) -> tuple[Tensor, Tensor]:
    """Features of the clip by transformers: one grid of all frames, one mel of all samples."""
    extractor = WhisperFeatureExtractor(feature_size=128, chunk_length=300)
    features = extractor(
        samples.numpy(),
        sampling_rate=16_000,
        padding="longest",
        truncation=False,
        return_attention_mask=True,
        return_tensors="pt",
    )
    patches = torch.cat([patchify(grid) for grid in frames.split(2)])
    rows, columns = frames.shape[2] // 14, frames.shape[3] // 14
    shape = torch.tensor([[len(frames) // 2, rows, columns]])
    # the towers moved one level down in the course of transformers 5
    visual = thinker.visual if hasattr(thinker, "visual") else thinker.model.visual
    video = visual(patches, grid_thw=shape)
    audio = thinker.get_audio_features(
        features["input_features"], feature_attention_mask=features["attention_mask"]
    )
    return video.pooler_output, audio.last_hidden_state


def test_grids_of_equal_size_are_one_tensor(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    tokens = encoder.encode([make_chunk(sizes=((2, 3), (2, 3)))])[0].tokens

    assert isinstance(tokens.video, Tensor)
    assert tokens.video.shape == (2, 6, 128)
    assert tokens.audio.shape == (50, 128)


def test_size_may_change_inside_a_chunk(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    encoded = encoder.encode([make_chunk(sizes=((2, 3), (4, 2)))])[0]

    assert [grid.shape for grid in encoded.tokens.grids] == [(6, 128), (8, 128)]
    assert encoded.grid_sizes == ((2, 3), (4, 2))


def test_chunk_without_video(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    encoded = encoder.encode([make_chunk(2, sizes=(None, None))])[0]

    assert encoded.tokens.grids == ()
    assert encoded.grid_sizes == ()
    assert encoded.tokens.positions.tolist() == [list(range(100, 150))] * 3


def test_chunk_without_audio(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    tokens = encoder.encode([make_chunk(mel_frames=0)])[0].tokens

    assert tokens.audio.shape == (0, 128)
    assert tokens.counts.video == 12


def test_second_without_picture_keeps_its_place(
    encoder: OmniEncoder, make_chunk: MakeChunk
) -> None:
    encoded = encoder.encode([make_chunk(3, sizes=(None, (1, 2)), mel_frames=0)])[0]

    assert encoded.grid_sizes == ((1, 2),)
    assert encoded.tokens.positions.tolist() == [[175, 175], [0, 0], [0, 1]]


def test_ids_per_second_are_the_models(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    other = OmniEncoder(encoder._audio_tower, encoder._vision_tower, ids_per_s=13)

    positions = other.encode([make_chunk(1, sizes=((1, 1),), mel_frames=0)])[0].tokens.positions

    assert positions.tolist() == [[26], [0], [0]]


def test_what_is_known_of_a_chunk_goes_along(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    gaps = (Gap("audio", 6.5, 0.25),)
    chunk = make_chunk(3, mel_frames=150)

    encoded = encoder.encode([MediaChunk(3, chunk.grids, chunk.mel, gaps)])[0]

    assert (encoded.index, encoded.gaps, encoded.tokens.start_s) == (3, gaps, 6.0)


def test_tokens_do_not_drag_their_batch_along(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    sizes = ((2, 3), (2, 3)), ((2, 3), (4, 2)), ((2, 2),), ()

    for encoded in encoder.encode([make_chunk(k, sizes=size) for k, size in enumerate(sizes)]):
        for tensor in (*encoded.tokens.grids, encoded.tokens.audio):
            held = tensor.untyped_storage().nbytes()
            assert held <= len(encoded.tokens.grids or [0]) * tensor.nbytes


def test_tokens_are_plain_tensors(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    tokens = encoder.encode([make_chunk()])[0].tokens

    assert not tokens.audio.requires_grad
    assert not tokens.audio.is_inference()
    assert not any(grid.is_inference() for grid in tokens.grids)
    assert tokens.audio.device.type == "cpu"


def test_towers_may_be_bf16(checkpoint: Path, encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    half = OmniEncoder.from_checkpoint(checkpoint, dtype=torch.bfloat16)

    tokens = half.encode([make_chunk()])[0].tokens

    assert tokens.audio.dtype == torch.bfloat16
    expected = all_tokens(encoder.encode([make_chunk()])[0].tokens)
    similarity = torch.cosine_similarity(all_tokens(tokens).float(), expected, dim=1)
    assert similarity.min() > 0.99


def test_input_is_not_modified(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    chunk, same = make_chunk(), make_chunk()

    encoder.encode([chunk])

    assert torch.equal(chunk.mel, same.mel)
    for grid, expected in zip(chunk.grids, same.grids, strict=True):
        assert torch.equal(grid, expected)


def test_nothing_in_nothing_out(encoder: OmniEncoder) -> None:
    assert encoder.encode([]) == []


@pytest.mark.parametrize(
    ("chunk", "complaint"),
    [
        (MediaChunk(0, (torch.zeros(2, 3, 30, 28, dtype=torch.uint8),), torch.zeros(128, 9)), "30"),
        (MediaChunk(0, (torch.zeros(2, 3, 28, 28),), torch.zeros(128, 9)), "float32"),
        (MediaChunk(0, (None, None, None), torch.zeros(128, 9)), "at most 2 grids, got 3"),
        (MediaChunk(0, (), torch.zeros(80, 9)), r"mel must be .* got \[80, 9\]"),
        (MediaChunk(0, (), torch.zeros(128, 201)), r"got \[128, 201\]"),
        (MediaChunk(0, (), torch.zeros(128)), r"got \[128\]"),
        (MediaChunk(0, (), torch.zeros(128, 9).double()), "float64"),
    ],
)
def test_bad_chunk_is_named(
    encoder: OmniEncoder, make_chunk: MakeChunk, chunk: MediaChunk, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        encoder.encode([make_chunk(), chunk])


def test_count_of_audio_tokens_is_the_towers(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    frames = [0, 1, 2, 3, 4, 5, 6, 7, 100, 198, 199, 200]

    encoded = encoder.encode([make_chunk(k, sizes=(), mel_frames=n) for k, n in enumerate(frames)])

    assert [len(chunk.tokens.audio) for chunk in encoded] == list(map(num_audio_tokens, frames))
    assert num_audio_tokens(200) == 50


def test_warm_up_leaves_results_alone(encoder: OmniEncoder, make_chunk: MakeChunk) -> None:
    before = encoder.encode([make_chunk()])[0]

    encoder.warm_up()

    assert_close(encoder.encode([make_chunk()])[0], before)


def test_only_the_towers_are_loaded(checkpoint: Path, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    partial.mkdir()
    for path in checkpoint.iterdir():
        if "-00004-" not in path.name:  # the language model
            (partial / path.name).symlink_to(path)

    assert OmniEncoder.from_checkpoint(partial)
