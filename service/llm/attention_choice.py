"""Which attention body an engine takes. The Triton one must first prove itself on the device."""

import logging

import numpy as np
import torch

from service.llm.attention import AttentionBody, Span
from service.llm.config import AttentionName
from service.llm.gather_attention import GatherAttention
from service.llm.pages import PagePool
from service.llm.sequence import PagedSequence

logger = logging.getLogger(__name__)

CUDA = "cuda"

# cached and new tokens of the sequences that a body proves itself with, and of forks of the first
TRIAL_SIZES = ((600, 33), (0, 70), (47, 1), (1, 16), (300, 1))
TRIAL_FORKS = 3
# values are about 1 and weights are spread over few keys, so that one key amiss is seen
TOLERANCES = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 6e-2}


def choose_attention(name: AttentionName, pool: PagePool, num_heads: int) -> AttentionBody:
    """Take the body that was asked for.

    Args:
        name: "auto" takes Triton's on a CUDA device where it proves itself, or else gathering, with
            a warning.
        pool: The pages that it is for.
        num_heads: Query heads of the model.

    Raises:
        ValueError: "triton" was asked for and cannot be had.
    """
    device = pool.keys.device
    if name == "gather" or (name == "auto" and device.type != CUDA):
        return GatherAttention
    if device.type != CUDA:
        raise ValueError(
            f"attention by Triton needs a CUDA device, this is {device}: set "
            "OMNISIFT_LLM__ATTENTION=auto, or OMNISIFT_DEVICE=cuda"
        )
    try:
        body = triton_body(num_heads)
        prove(body, pool, num_heads)
    except Exception as exc:  # compilers and drivers fail in ways that cannot be listed
        if name == "triton":
            raise ValueError(
                f"attention by Triton does not work here ({exc}): "
                "set OMNISIFT_LLM__ATTENTION=gather"
            ) from exc
        logger.warning("attention by gathering pages: Triton's does not work here (%s)", exc)
        return GatherAttention
    logger.info("attention by Triton on %s", device)
    return body


def triton_body(num_heads: int) -> AttentionBody:
    """Import Triton's body, which nothing else here does.

    Raises:
        ImportError: There is no triton.
    """
    from service.llm.triton_attention import TritonBody

    return TritonBody(num_heads)


def prove(body: AttentionBody, pool: PagePool, num_heads: int) -> None:
    """Compare a body with gathering, on made-up keys in pages like those of a pool.

    Raises:
        ArithmeticError: They differ.
    """
    trial = _trial_pool(pool)
    generator = torch.Generator(trial.keys.device).manual_seed(0)
    for store in (trial.keys, trial.values):
        store.normal_(generator=generator)
    spans = _trial_spans(trial)
    num_kv_heads, head_dim = trial.keys.shape[3:]
    num_new = spans[-1].stop
    query = trial.keys.new_empty(num_heads, num_new, head_dim).normal_(generator=generator)
    key, value = trial.keys.new_empty(2, num_kv_heads, num_new, head_dim).normal_(
        generator=generator
    )
    scale = 3 * head_dim**-0.5
    expected = GatherAttention(trial, spans).attend(0, query, key, value, scale)
    # what gathering wrote must not help
    trial.scrub(np.concatenate([s.sequence.slots(s.sequence.length, s.num_keys) for s in spans]))
    found = body(trial, spans).attend(0, query, key, value, scale)
    error = float((found.float() - expected.float()).abs().max())
    if not error <= TOLERANCES[trial.keys.dtype]:  # NaN fails too
        raise ArithmeticError(f"its results differ by {error:.3g} from those of gathering")


def _trial_pool(pool: PagePool) -> PagePool:
    num_tokens = [cached + new for cached, new in TRIAL_SIZES] + [
        2 * pool.page_tokens
    ] * TRIAL_FORKS
    _, _, page_tokens, num_kv_heads, head_dim = pool.keys.shape
    return PagePool(
        num_layers=1,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        num_pages=sum(map(pool.pages_for, num_tokens)),
        page_tokens=page_tokens,
        dtype=pool.keys.dtype,
        device=pool.keys.device,
    )


def _trial_spans(pool: PagePool) -> list[Span]:
    sequences: list[tuple[PagedSequence, int]] = []
    for cached, new in TRIAL_SIZES:
        sequences.append((PagedSequence(pool), new))
        sequences[-1][0].reserve(cached + new)
        sequences[-1][0].advance(cached)
    for _ in range(TRIAL_FORKS):
        sequences.append((sequences[0][0].fork(), 1))
        sequences[-1][0].reserve(1)
    spans, start = [], 0
    for sequence, new in sequences:
        spans.append(Span(sequence, start, new))
        start += new
    return spans
