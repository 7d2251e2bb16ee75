"""How redundant a video token is. Knows nothing about budgets or about what is kept.

Redundancy is a cosine similarity, -1 to 1, computed in the dtype of the embeddings and returned as
float32. The published method ranks by it in that dtype, so a float32 computation would part with
it on bfloat16 input; callers that want finer ranks pass float32 embeddings. Saliency is
1 - redundancy, 0 to 2. No gradient passes. On a CPU the work is done in blocks of tokens; a token's
redundancy does not depend on them.

Source: OmniSIFT (arXiv 2602.04804), section 3; the measures are credited there to VidCom2 (spatial)
and TimeChat-Online (temporal).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

# of one operand: what a similarity writes in between then stays in a core's L2 cache
BLOCK_BYTES = 512 * 1024


def spatial_redundancy(grid: Tensor) -> Tensor:
    """Compare each token with the mean of its grid.

    Args:
        grid: `[B, P, D]`, floating point.

    Returns:
        `[B, P]` float32; a zero vector is not redundant (0).
    """
    grid = grid.detach()
    return _similarity(grid, grid.mean(dim=-2, keepdim=True))


def temporal_redundancy(grid: Tensor, reference: Tensor) -> Tensor:
    """Compare each token with the one at the same place in another grid.

    Args:
        grid: `[B, P, D]`, floating point.
        reference: The earlier grid, unpruned, of the same shape and dtype.

    Returns:
        `[B, P]` float32; a zero vector is not redundant (0).
    """
    return _similarity(reference.detach(), grid.detach())


def _similarity(tokens: Tensor, others: Tensor) -> Tensor:
    """Compare `[B, P, D]` with `[B, P or 1, D]`: `[B, P]` float32."""
    num_bytes = tokens.numel() * tokens.element_size()
    num_blocks = 1 if tokens.is_cuda else math.ceil(num_bytes / BLOCK_BYTES)
    if num_blocks == 1:
        return functional.cosine_similarity(tokens, others, dim=-1).float()
    blocks = zip(
        tokens.tensor_split(num_blocks, dim=-2),
        others.expand_as(tokens).tensor_split(num_blocks, dim=-2),
        strict=True,
    )
    values = [functional.cosine_similarity(block, other, dim=-1) for block, other in blocks]
    return torch.cat(values, dim=-1).float()


__all__ = ["BLOCK_BYTES", "spatial_redundancy", "temporal_redundancy"]
