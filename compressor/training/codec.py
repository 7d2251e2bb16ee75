"""What a video codec does to pictures, roughly: half-resolution colour and quantised blocks.

The model has to read streams that went through VP8 or H.264; training on clean frames alone would
leave that to chance. Knows nothing about scenes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 8
# BT.601, full range
_TO_YUV = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))


def degrade(frames: Tensor, strength: Tensor) -> Tensor:
    """Pass frames through a stand-in for an intra-coded lossy codec.

    Args:
        frames: `[F, 3, H, W]` uint8, H and W multiples of 16.
        strength: Quantiser step `[F]` of low luma frequencies in 8-bit units; 0 only halves the
            resolution of colour. 2 is hardly visible, 16 is a bad connection.

    Returns:
        uint8 of the same shape.
    """
    to_yuv = torch.tensor(_TO_YUV, device=frames.device)
    yuv = torch.einsum("cd,fdhw->fchw", to_yuv, frames.float())
    luma, chroma = yuv[:, :1], F.avg_pool2d(yuv[:, 1:], 2)
    luma = _quantise(luma, strength)
    chroma = F.interpolate(_quantise(chroma, strength * 1.3), scale_factor=2.0, mode="bilinear")
    rgb = torch.einsum("cd,fdhw->fchw", to_yuv.inverse(), torch.cat([luma, chroma], dim=1))
    return rgb.round_().clamp_(0, 255).to(torch.uint8)


def _quantise(planes: Tensor, strength: Tensor) -> Tensor:
    basis = _cosines(planes.device)
    frames, channels, height, width = planes.shape
    tiled = (frames, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    blocks = planes.reshape(tiled).transpose(3, 4)
    spectrum = basis @ blocks @ basis.T
    order = torch.arange(_BLOCK, device=planes.device)
    coarseness = 1.0 + 0.5 * (order[:, None] + order)  # high frequencies are quantised harder
    step = (strength.view(-1, 1, 1, 1, 1, 1) * coarseness).clamp(min=1e-3)
    restored: Tensor = basis.T @ ((spectrum / step).round() * step) @ basis
    return restored.transpose(3, 4).reshape(planes.shape)


def _cosines(device: torch.device) -> Tensor:
    """Orthonormal DCT-II matrix `[8, 8]`."""
    n = torch.arange(_BLOCK, device=device, dtype=torch.float32)
    basis = torch.cos(math.pi / _BLOCK * (n + 0.5) * n[:, None]) * math.sqrt(2 / _BLOCK)
    basis[0] /= math.sqrt(2)
    return basis


__all__ = ["degrade"]
