"""Chunk by chunk ids against transformers' `get_rope_index` over the whole sequence."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniPreTrainedModelForConditionalGeneration as Upstream,
)

from compressor.omni.positions import (
    audio_positions,
    chunk_positions,
    header_positions,
    stream_base,
    tail_positions,
    text_positions,
    video_positions,
)

TEXT, VISION_BOS, VISION_EOS, AUDIO_BOS, AUDIO_EOS, IMAGE, VIDEO, AUDIO = range(8)


def upstream_ids(
    tokens: list[int],
    *,
    grid: tuple[int, int, int],
    mel_frames: int | None,
    with_audio_in_video: bool = True,
) -> Tensor:
    """What transformers gives for the whole sequence; `grid` is in patches, twice the tokens."""
    model = Upstream.__new__(Upstream)
    torch.nn.Module.__init__(model)
    model.spatial_merge_size = 2
    model.config = SimpleNamespace(
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        audio_token_id=AUDIO,
        vision_start_token_id=VISION_BOS,
        audio_start_token_id=AUDIO_BOS,
        position_id_per_seconds=25,
        seconds_per_chunk=2,
    )
    ids = torch.tensor([tokens])
    positions, _ = model.get_rope_index(
        ids,
        image_grid_thw=torch.empty(0, 3, dtype=torch.long),
        video_grid_thw=torch.tensor([grid]),
        attention_mask=torch.ones_like(ids),
        use_audio_in_video=with_audio_in_video,
        audio_seqlens=None if mel_frames is None else torch.tensor([mel_frames]),
        second_per_grids=torch.tensor([1.0]),
    )
    return positions[:, 0]


def audio_tokens(mel_frames: int) -> int:
    return ((mel_frames - 1) // 2 + 1 - 2) // 2 + 1


def split(num_grids: int, num_audio: int) -> list[tuple[int, int]]:
    """(grids, audio tokens) of each 2 s chunk."""
    num_chunks = max(-(-num_grids // 2), -(-num_audio // 50))
    return [
        (max(min(num_grids - 2 * k, 2), 0), max(min(num_audio - 50 * k, 50), 0))
        for k in range(num_chunks)
    ]


def streamed_ids(
    chunks: list[tuple[int, int]], size: tuple[int, int], header: int, tail: int
) -> Tensor:
    parts = [
        chunk_positions(2.0 * k, [size] * grids, audio) for k, (grids, audio) in enumerate(chunks)
    ]
    media = torch.cat(parts, dim=1) + stream_base(header)
    return torch.cat(
        [header_positions(header), media, tail_positions(int(media.max()) + 1, tail)], dim=1
    )


def sequence(
    chunks: list[tuple[int, int]], tokens_per_grid: int, header: int, tail: int
) -> list[int]:
    media: list[int] = []
    for grids, audio in chunks:
        media += [VIDEO] * tokens_per_grid * grids + [AUDIO] * audio
    opening, closing = [VISION_BOS, AUDIO_BOS], [AUDIO_EOS, VISION_EOS]
    text = [TEXT] * (header - 2) + opening
    return text + media + closing + [TEXT] * (tail - 2)


@pytest.mark.parametrize(
    ("num_grids", "mel_frames"),
    [
        pytest.param(6, 600, id="three whole chunks"),
        pytest.param(5, 500, id="last chunk has one grid"),
        pytest.param(5, 487, id="audio ends inside a token"),
        pytest.param(3, 600, id="audio outlasts video"),
        pytest.param(6, 200, id="video outlasts audio"),
        pytest.param(1, 60, id="less than a second"),
        pytest.param(40, 4000, id="forty seconds"),
    ],
)
def test_streamed_ids_equal_upstream(num_grids: int, mel_frames: int) -> None:
    rows, columns = 3, 5
    chunks = split(num_grids, audio_tokens(mel_frames))

    ours = streamed_ids(chunks, (rows, columns), header=9, tail=7)

    tokens = sequence(chunks, rows * columns, header=9, tail=7)
    theirs = upstream_ids(tokens, grid=(num_grids, 2 * rows, 2 * columns), mel_frames=mel_frames)
    assert torch.equal(ours, theirs)


@settings(max_examples=40)
@given(
    num_grids=st.integers(1, 9),
    mel_frames=st.integers(5, 1000),
    rows=st.integers(1, 8),
    columns=st.integers(1, 8),
    header=st.integers(3, 30),
)
def test_ids_of_media_equal_upstream_whatever_the_tail(
    num_grids: int, mel_frames: int, rows: int, columns: int, header: int
) -> None:
    chunks = split(num_grids, audio_tokens(mel_frames))

    ours = streamed_ids(chunks, (rows, columns), header=header, tail=4)

    tokens = sequence(chunks, rows * columns, header=header, tail=4)
    theirs = upstream_ids(tokens, grid=(num_grids, 2 * rows, 2 * columns), mel_frames=mel_frames)
    assert torch.equal(ours[:, :-4], theirs[:, :-4])
    assert int(ours[0, -4]) == int(ours[:, :-4].max()) + 1


def test_video_only_equals_upstream() -> None:
    rows, columns, header = 4, 3, 6
    media = torch.cat([chunk_positions(2.0 * k, [(rows, columns)] * 2, 0) for k in range(3)], dim=1)

    # one marker on each side: the base is 1 + its id, as with two that share an id
    tokens = [TEXT] * header + [VISION_BOS] + [VIDEO] * 6 * rows * columns + [VISION_EOS, TEXT]
    theirs = upstream_ids(
        tokens, grid=(6, 2 * rows, 2 * columns), mel_frames=None, with_audio_in_video=False
    )

    assert torch.equal(media + stream_base(header + 2), theirs[:, header + 1 : -2])
    assert int(theirs[0, -2]) == stream_base(header + 2) + int(media.max()) + 1


def test_audio_only_equals_upstream() -> None:
    header = 6
    media = torch.cat([chunk_positions(0.0, [], 50), chunk_positions(2.0, [], 30)], dim=1)

    mel_frames = 200 + 122
    tokens = [TEXT] * header + [AUDIO_BOS] + [AUDIO] * audio_tokens(mel_frames) + [AUDIO_EOS, TEXT]
    # a grid that no token refers to: upstream numbers media only when it is given one
    theirs = upstream_ids(tokens, grid=(1, 2, 2), mel_frames=mel_frames, with_audio_in_video=False)

    assert media.shape[1] == audio_tokens(mel_frames)
    assert torch.equal(media + stream_base(header + 2), theirs[:, header + 1 : -2])


def test_a_second_without_picture_leaves_its_ids_unused() -> None:
    positions = chunk_positions(4.0, [None, (2, 2)], 0)

    assert positions.tolist() == [[125] * 4, [0, 0, 1, 1], [0, 1, 0, 1]]


def test_ids_per_second_come_from_the_caller() -> None:
    assert video_positions(3.0, 1, 1, ids_per_s=13).tolist() == [[39], [0], [0]]
    assert audio_positions(2.0, 2, ids_per_s=13).tolist() == [[26, 27]] * 3


def test_markers_share_one_id_on_each_side() -> None:
    assert header_positions(5).tolist() == [[0, 1, 2, 3, 3]] * 3
    assert stream_base(5) == 4
    assert tail_positions(54, 4).tolist() == [[54, 54, 55, 56]] * 3


def test_text_counts_on_all_axes() -> None:
    assert text_positions(7, 3).tolist() == [[7, 8, 9]] * 3
