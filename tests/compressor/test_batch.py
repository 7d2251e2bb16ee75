import pytest
import torch

from compressor.batch import HOST_BATCH_BYTES, Batch, Request, check_width, group_by_kind
from compressor.tokens import TokenChunk
from compressor.video import StreamState
from tests.tensors import make_token_chunk


def make_request(chunk: TokenChunk, place: int = 0, *, has_reference: bool = False) -> Request:
    reference = chunk.grids[0].clone() if has_reference else None
    return Request(place, chunk, StreamState(), reference)


def test_requests_of_one_kind_are_stacked() -> None:
    chunks = [make_token_chunk(seed) for seed in range(3)]

    batch = Batch.of([make_request(chunk) for chunk in chunks])

    assert [tuple(grid.shape) for grid in batch.grids] == [(3, 12, 24)] * 2
    for row, chunk in enumerate(chunks):
        assert torch.equal(batch.grids[1][row], chunk.grids[1])
        assert torch.equal(batch.audio[row], chunk.audio)
        assert torch.equal(batch.positions[row], chunk.positions)
    assert batch.reference is None
    assert batch.counts == chunks[0].counts


def test_single_request_is_viewed_not_copied() -> None:
    chunk = make_token_chunk()

    batch = Batch.of([make_request(chunk)])

    assert batch.audio.data_ptr() == chunk.audio.data_ptr()


def test_references_are_stacked() -> None:
    chunks = [make_token_chunk(seed) for seed in range(2)]

    batch = Batch.of([make_request(chunk, has_reference=True) for chunk in chunks])

    assert batch.reference is not None
    assert torch.equal(batch.reference, torch.stack([chunk.grids[0] for chunk in chunks]))


def test_requests_are_grouped_by_what_prevents_stacking() -> None:
    requests = [
        make_request(make_token_chunk(0), 0),
        make_request(make_token_chunk(1, grid_sizes=(12, 9)), 1),
        make_request(make_token_chunk(2, num_audio=9), 2),
        make_request(make_token_chunk(3), 3),
        make_request(make_token_chunk(4, dtype=torch.bfloat16), 4),
        make_request(make_token_chunk(5), 5, has_reference=True),
        make_request(make_token_chunk(6, grid_sizes=()), 6),
    ]

    batches = group_by_kind(requests)

    places = [[request.place for request in batch.requests] for batch in batches]
    assert places == [[0, 3], [1], [2], [4], [5], [6]]


def test_host_batch_is_cut_to_what_pays_to_stack() -> None:
    chunk = make_token_chunk(grid_sizes=(12, 12), num_audio=10, hidden_size=16384)
    num_chunks = HOST_BATCH_BYTES // (34 * 16384 * 4) + 2

    batches = group_by_kind([make_request(chunk, place) for place in range(num_chunks)])

    places = [[request.place for request in batch.requests] for batch in batches]
    assert places == [list(range(num_chunks - 2)), [num_chunks - 2, num_chunks - 1]]


def test_chunk_above_the_host_limit_goes_alone() -> None:
    chunk = make_token_chunk(grid_sizes=(300, 300), hidden_size=4096)
    assert chunk.num_tokens * 4096 * 4 > HOST_BATCH_BYTES

    batches = group_by_kind([make_request(chunk, place) for place in range(2)])

    assert [len(batch.requests) for batch in batches] == [1, 1]


def test_next_position_follows_the_highest_id_of_any_axis() -> None:
    chunk = make_token_chunk()
    chunk.positions[2, 5] = 99

    batch = Batch.of([make_request(chunk), make_request(make_token_chunk(start_s=2.0))])

    assert batch.next_positions() == [100, 76]


def test_next_position_of_an_empty_chunk_is_zero() -> None:
    chunk = make_token_chunk(grid_sizes=(), num_audio=0)

    assert Batch.of([make_request(chunk)]).next_positions() == [0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_value_that_is_not_finite_is_found_and_named(value: float, dtype: torch.dtype) -> None:
    chunks = [make_token_chunk(seed, dtype=dtype) for seed in range(3)]
    chunks[1].audio[2, 3] = value
    batch = Batch.of([make_request(chunk, place) for place, chunk in enumerate(chunks)])

    with pytest.raises(ValueError, match=r"chunk 1: audio \[10, 24\] has 1 values that are NaN"):
        batch.check_finite()


def test_bad_grid_is_named() -> None:
    chunk = make_token_chunk()
    chunk.grids[1][4] = float("nan")

    with pytest.raises(ValueError, match=r"chunk 7: video grid 1 \[12, 24\] has 24 values"):
        Batch.of([make_request(chunk, 7)]).check_finite()


@pytest.mark.parametrize(
    ("grid_sizes", "num_audio"), [((12, 12), 10), ((), 10), ((4,), 0), ((), 0)]
)
def test_finite_values_pass(grid_sizes: tuple[int, ...], num_audio: int) -> None:
    chunk = make_token_chunk(grid_sizes=grid_sizes, num_audio=num_audio)

    Batch.of([make_request(chunk)]).check_finite()


def test_other_width_is_refused_and_named() -> None:
    check_width(3, make_token_chunk(), 24)

    with pytest.raises(ValueError, match=r"chunk 3: .* D=24, .* D=8"):
        check_width(3, make_token_chunk(), 8)
