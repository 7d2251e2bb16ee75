"""The compressor on CUDA: equal to the CPU, batch equal to loop, no wait where promised."""

from dataclasses import replace

import pytest
import torch

from compressor import PROFILE_NAMES, CompressorConfig, StreamState, TokenChunk, TokenCompressor
from tests.tensors import make_token_chunk

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
HIDDEN_SIZE = 2048
PROFILES = pytest.mark.parametrize("profile", PROFILE_NAMES)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)


def make_compressor(profile: str) -> TokenCompressor:
    return TokenCompressor(CompressorConfig.from_profile(profile, hidden_size=HIDDEN_SIZE))


def make_chunk(seed: int, dtype: torch.dtype, start_s: float = 0.0) -> TokenChunk:
    return make_token_chunk(
        seed,
        grid_sizes=(299, 299),
        num_audio=50,
        hidden_size=HIDDEN_SIZE,
        dtype=dtype,
        start_s=start_s,
    )


def to_device(chunk: TokenChunk) -> TokenChunk:
    assert isinstance(chunk.video, torch.Tensor)
    return replace(chunk, video=chunk.video.cuda(), audio=chunk.audio.cuda())


@PROFILES
@DTYPES
def test_batch_equals_loop(profile: str, dtype: torch.dtype) -> None:
    compressor = make_compressor(profile).cuda()
    looped: list[StreamState | None] = [None] * 6
    batched: list[StreamState | None] = [None] * 6

    for number in range(3):
        chunks = [to_device(make_chunk(row + number // 2, dtype, 2.0 * number)) for row in range(6)]
        together = compressor.compress_batch(chunks, batched)
        for row, (result, state) in enumerate(together):
            alone, looped[row] = compressor.compress(chunks[row], looped[row])
            batched[row] = state
            assert torch.equal(result.kept, alone.kept)
            assert torch.equal(result.embeddings, alone.embeddings)
            assert torch.equal(result.positions, alone.positions)


@PROFILES
def test_kept_tokens_equal_those_of_the_cpu(profile: str) -> None:
    compressor = make_compressor(profile)
    chunk = make_chunk(0, torch.float32)

    on_cpu, _ = compressor.compress(chunk)
    on_gpu, _ = compressor.cuda().compress(to_device(chunk))

    assert on_gpu.kept.tolist() == on_cpu.kept.tolist()
    torch.testing.assert_close(on_gpu.scores.cpu(), on_cpu.scores, atol=1e-4, rtol=0)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # torch calls it a prototype
@pytest.mark.parametrize("profile", ["paper-35", "paper-25", "full"])
def test_fixed_profile_never_waits_for_the_device(profile: str) -> None:
    config = replace(make_compressor(profile).config, is_checked_finite=False)
    compressor = TokenCompressor(config).cuda()
    chunks = [to_device(make_chunk(row, torch.bfloat16)) for row in range(3)]
    compressor.compress_batch(chunks, [None] * 3)  # set-up of the libraries may wait

    torch.cuda.set_sync_debug_mode("error")
    try:
        results = compressor.compress_batch(chunks, [None] * 3)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    assert len(results) == 3
