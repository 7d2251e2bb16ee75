import pytest
import torch

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig, SelectorConfig

SMALL = SelectorConfig(width=32, heads=4, head_width=16)
OFFICIAL_SHAPES = {
    "v_proj.weight": (512, 3584),
    "v_proj.bias": (512,),
    "a_proj.weight": (512, 3584),
    "a_proj.bias": (512,),
    "v_norm.weight": (512,),
    "v_norm.bias": (512,),
    "a_norm.weight": (512,),
    "a_norm.bias": (512,),
    "post_attn_norm.weight": (512,),
    "post_attn_norm.bias": (512,),
    "cross_attn.in_proj_weight": (1536, 512),
    "cross_attn.in_proj_bias": (1536,),
    "cross_attn.out_proj.weight": (512, 512),
    "cross_attn.out_proj.bias": (512,),
    "score_head.0.weight": (256, 512),
    "score_head.0.bias": (256,),
    "score_head.2.weight": (1, 256),
    "score_head.2.bias": (1,),
}


def make_selector(seed: int = 0, hidden_size: int = 24) -> AudioSelector:
    size = SelectorConfig(SMALL.width, SMALL.heads, SMALL.head_width, seed)
    return AudioSelector(CompressorConfig(hidden_size, 0.23, 0.5, selector=size))


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("hidden_size", "expected"), [(3584, 4_856_321), (2048, 3_283_457)])
def test_parameter_count_is_the_published_one(hidden_size: int, expected: int) -> None:
    selector = AudioSelector(CompressorConfig.from_profile("paper-25", hidden_size=hidden_size))

    assert sum(parameter.numel() for parameter in selector.parameters()) == expected


def test_official_state_dict_loads_strictly() -> None:
    selector = AudioSelector(CompressorConfig.from_profile("paper-25", hidden_size=3584))
    official = {name: torch.full(shape, 0.5) for name, shape in OFFICIAL_SHAPES.items()}

    selector.load_state_dict(official, strict=True)

    assert all(bool((parameter == 0.5).all()) for parameter in selector.parameters())


def test_scores_equal_the_equations() -> None:
    selector, video, audio = make_selector(), random(1, 7, 24), random(1, 5, 24, seed=1)
    weights = selector.state_dict()

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    v = norm("v_norm", linear("v_proj", video[0]))
    a = norm("a_norm", linear("a_proj", audio[0]))
    w, b = weights["cross_attn.in_proj_weight"], weights["cross_attn.in_proj_bias"]
    q, k, u = (x @ w[i : i + 32].T + b[i : i + 32] for x, i in ((a, 0), (v, 32), (v, 64)))
    heads = [
        torch.softmax(q[:, h : h + 8] @ k[:, h : h + 8].T / 8**0.5, dim=-1) @ u[:, h : h + 8]
        for h in range(0, 32, 8)
    ]
    x = norm("post_attn_norm", linear("cross_attn.out_proj", torch.cat(heads, dim=-1)) + a)
    hidden = linear("score_head.0", x)
    expected = torch.sigmoid(linear("score_head.2", hidden * torch.sigmoid(hidden))).squeeze(-1)

    torch.testing.assert_close(selector(video, audio)[0], expected)


def test_scores_are_probabilities_per_audio_token() -> None:
    scores = make_selector()(random(2, 7, 24), random(2, 5, 24, seed=1))

    assert scores.shape == (2, 5)
    assert bool(((scores > 0) & (scores < 1)).all())


def test_order_of_the_guiding_tokens_does_not_matter() -> None:
    selector, video, audio = make_selector(), random(1, 7, 24), random(1, 5, 24, seed=1)

    torch.testing.assert_close(selector(video.flip(1), audio), selector(video, audio))


def test_permuting_audio_permutes_scores() -> None:
    selector, video, audio = make_selector(), random(1, 7, 24), random(1, 5, 24, seed=1)

    torch.testing.assert_close(selector(video, audio.flip(1)), selector(video, audio).flip(1))


def test_guiding_tokens_matter() -> None:
    selector, audio = make_selector(), random(1, 5, 24, seed=1)

    assert not torch.allclose(
        selector(random(1, 7, 24), audio), selector(random(1, 7, 24, seed=2), audio)
    )


def test_computes_in_the_dtype_of_its_parameters() -> None:
    selector, video, audio = make_selector(), random(1, 7, 24), random(1, 5, 24, seed=1)
    video, audio = video.bfloat16(), audio.bfloat16()

    full, half = selector(video, audio), make_selector().bfloat16()(video, audio)

    assert (full.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(full, selector(video.float(), audio.float()))
    torch.testing.assert_close(half.float(), full, atol=2e-2, rtol=0)


def test_initial_weights_follow_the_seed_and_leave_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()

    one, same, other = make_selector(1), make_selector(1), make_selector(2)

    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.v_proj.weight, same.v_proj.weight)
    assert not torch.equal(one.v_proj.weight, other.v_proj.weight)
