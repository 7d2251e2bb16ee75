"""How redundant a video token is. Knows nothing about budgets or about what is kept.

Redundancy is a cosine similarity, -1 to 1, computed in the dtype of the embeddings and returned as
float32. The published method ranks by it in that dtype, so a float32 computation would part with
it on bfloat16 input; callers that want finer ranks pass float32 embeddings. Saliency is
1 - redundancy, 0 to 2. No gradient passes.

Source: OmniSIFT (arXiv 2602.04804), section 3; the measures are credited there to VidCom2 (spatial)
and TimeChat-Online (temporal).
"""

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def spatial_redundancy(grid: Tensor) -> Tensor:
    """Compare each token with the mean of its grid.

    Args:
        grid: `[B, P, D]`, floating point.

    Returns:
        `[B, P]` float32; a zero vector is not redundant (0).
    """
    mean = grid.mean(dim=-2, keepdim=True)
    return functional.cosine_similarity(grid, mean, dim=-1).float()


@torch.no_grad()
def temporal_redundancy(grid: Tensor, reference: Tensor) -> Tensor:
    """Compare each token with the one at the same place in another grid.

    Args:
        grid: `[B, P, D]`, floating point.
        reference: The earlier grid, unpruned, of the same shape and dtype.

    Returns:
        `[B, P]` float32; a zero vector is not redundant (0).
    """
    return functional.cosine_similarity(reference, grid, dim=-1).float()


__all__ = ["spatial_redundancy", "temporal_redundancy"]
