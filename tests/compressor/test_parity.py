"""The compressor against a plain transcription of the published procedure, one token at a time.

Source: the procedure of OmniSIFT (arXiv 2602.04804) as its official code runs it on a sequence of
(time id, modality) tokens: groups of two grids, drops counted by int(n * rho), a selector per
group. Written for clarity, with plain lists for every decision; of equal scores the later token
goes first, where the official topk leaves the choice open.
"""

import math

import pytest
import torch
from torch import Tensor

from compressor.config import CompressorConfig, SelectorConfig
from compressor.pipeline import TokenCompressor
from compressor.tokens import TokenChunk
from tests.tensors import make_token_chunk

HIDDEN_SIZE = 48
SELECTOR = SelectorConfig(width=32, heads=4, head_width=16, seed=3)
REMOVED = {"paper-35": (0.67, 0.4), "paper-25": (0.77, 0.5), "full": (0.0, 0.0)}


def similarity(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def drop(candidates: list[int], value: dict[int, float], count: int) -> set[int]:
    return set(sorted(candidates, key=lambda token: (-value[token], -token))[:count])


def score_audio(weights: dict[str, Tensor], video: Tensor, audio: Tensor) -> list[float]:
    def linear(x: Tensor, name: str) -> Tensor:
        return torch.nn.functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        shape = (x.shape[-1],)
        return torch.layer_norm(x, shape, weights[f"{name}.weight"], weights[f"{name}.bias"])

    v, a = norm(linear(video, "v_proj"), "v_norm"), norm(linear(audio, "a_proj"), "a_norm")
    w, b = (
        weights["cross_attn.in_proj_weight"].chunk(3),
        weights["cross_attn.in_proj_bias"].chunk(3),
    )
    q, k, u = a @ w[0].T + b[0], v @ w[1].T + b[1], v @ w[2].T + b[2]
    scores = []
    for token in range(len(audio)):
        heads = []
        for head in torch.arange(q.shape[1]).chunk(SELECTOR.heads):
            weight = torch.softmax(k[:, head] @ q[token, head] / math.sqrt(len(head)), dim=0)
            heads.append(weight @ u[:, head])
        x = norm(linear(torch.cat(heads), "cross_attn.out_proj") + a[token], "post_attn_norm")
        hidden = torch.nn.functional.silu(linear(x, "score_head.0"))
        scores.append(float(torch.sigmoid(linear(hidden, "score_head.2"))))
    return scores


def published(
    chunk: TokenChunk, weights: dict[str, Tensor], rho_v: float, rho_a: float
) -> list[int]:
    tokens = torch.cat([*chunk.grids, chunk.audio])
    frames, start = [], 0
    for grid in chunk.grids:
        frames.append(list(range(start, start + len(grid))))
        start += len(grid)
    audio, dropped = list(range(start, len(tokens))), set[int]()
    first, second = frames[0], frames[1] if len(frames) > 1 else []
    count = int(len(first) * rho_v)
    mean = tokens[first].mean(dim=0)
    dropped |= drop(first, {i: similarity(tokens[i], mean) for i in first}, count)
    if len(first) == len(second):
        value = {j: similarity(tokens[i], tokens[j]) for i, j in zip(first, second, strict=True)}
        dropped |= drop(second, value, count)
    guide = [i for i in first + second if i not in dropped]
    if guide and len(audio) > 1:
        scores = score_audio(weights, tokens[guide].float(), tokens[audio].float())
        num_keep = len(audio) - int(len(audio) * rho_a)
        falling = sorted(range(len(audio)), key=lambda i: (-scores[i], i))
        dropped |= {audio[i] for i in falling[num_keep:]}
    return [i for i in range(len(tokens)) if i not in dropped]


@pytest.mark.parametrize("profile", REMOVED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("grid_sizes", "num_audio"),
    [((40, 40), 50), ((33, 33), 25), ((40,), 50), ((40, 30), 50), ((9, 9), 1), ((1, 1), 2)],
)
@pytest.mark.parametrize("seed", range(3))
def test_kept_tokens_equal_the_published_procedure(
    seed: int, grid_sizes: tuple[int, ...], num_audio: int, dtype: torch.dtype, profile: str
) -> None:
    config = CompressorConfig.from_profile(profile, hidden_size=HIDDEN_SIZE, selector=SELECTOR)
    compressor = TokenCompressor(config)
    chunk = make_token_chunk(
        seed, grid_sizes=grid_sizes, num_audio=num_audio, hidden_size=HIDDEN_SIZE, dtype=dtype
    )

    result, _ = compressor.compress(chunk)

    rho_v, rho_a = REMOVED[profile]
    expected = published(chunk, dict(compressor.selector.state_dict()), rho_v, rho_a)
    assert result.kept.tolist() == expected


def test_chunk_by_chunk_equals_a_whole_clip() -> None:
    config = CompressorConfig.from_profile("paper-25", hidden_size=HIDDEN_SIZE, selector=SELECTOR)
    compressor = TokenCompressor(config)
    clip = [
        make_token_chunk(seed, hidden_size=HIDDEN_SIZE, start_s=2.0 * seed) for seed in range(6)
    ]

    streamed, state = [], None
    for chunk in clip:
        result, state = compressor.compress(chunk, state)
        streamed.append(result.kept.tolist())
    offline = compressor.compress_batch(clip, [None] * len(clip))

    assert streamed == [result.kept.tolist() for result, _ in offline]
