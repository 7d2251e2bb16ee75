"""Renders the pictures of scenes on any torch device, at any set of times.

All frames of all scenes of a call are drawn together in a few large tensor operations, so that a
GPU renders faster than it can train. Knows nothing about sound, questions or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from compressor.training.scenes import COLOURS, FRAME_SIZE_PX, OTHER, Camera, Scene, Thing
from compressor.training.timeline import TEXTURE_BANK, TEXTURE_SLACK_PX

SLACK_PX = 8  # canvases are larger than frames by this much on each side: room for shake
CANVAS_PX = FRAME_SIZE_PX + 2 * SLACK_PX
COLOUR_RGB = {
    "red": (220, 40, 40),
    "green": (40, 190, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 215, 50),
    "purple": (170, 60, 200),
    "cyan": (60, 210, 220),
}
_RGB = np.array([COLOUR_RGB[name] for name in COLOURS], dtype=np.float32)
_NAMELESS_DISTANCE = 45.0  # in RGB, from the nearest named colour, whose shades reach 31
_STAMP_PX = 34  # side of the window that one thing is drawn into


@dataclass(frozen=True, slots=True)
class FrameScript:
    """Everything to draw, packed over all scenes of a call.

    Attributes:
        tints: `[C, 3, 8, 8]` coarse colours of the C canvases.
        textures: `[C, 3]` bank index and offset.
        props: `[n, 8]` canvas, centre y, x, radius, squareness, r, g, b.
        canvas: `[F]` canvas of each frame.
        shift: `[F, 2]` camera displacement in whole pixels.
        gain: `[F, 3]` light per channel.
        noise: `[F]` standard deviation of sensor noise.
        stamps: `[M, 9]` frame, centre y, x, radius, shape, r, g, b, colour: things.
    """

    tints: NDArray[np.float32]
    textures: NDArray[np.int64]
    props: NDArray[np.float32]
    canvas: NDArray[np.int64]
    shift: NDArray[np.int64]
    gain: NDArray[np.float32]
    noise: NDArray[np.float32]
    stamps: NDArray[np.float32]


def pack_frames(scenes: Sequence[Scene], times_s: Sequence[NDArray[np.float64]]) -> FrameScript:
    """Turn scenes into one script; frame order is scene by scene, in the order of `times_s`."""
    frames_before = np.cumsum([0, *map(len, times_s)])
    canvases_before = np.cumsum([0, *(len(scene.backdrops) for scene in scenes)])
    backdrops = [backdrop for scene in scenes for backdrop in scene.backdrops]
    pairs = list(zip(scenes, times_s, strict=True))
    props = [_with_index(i, backdrop.props) for i, backdrop in enumerate(backdrops)]
    stamps = [_stamps(scene, t, int(frames_before[i])) for i, (scene, t) in enumerate(pairs)]
    canvas = [_canvas(scene, t) + canvases_before[i] for i, (scene, t) in enumerate(pairs)]
    noise = [np.full(len(t), scene.camera.noise) for scene, t in pairs]
    return FrameScript(
        tints=np.stack([backdrop.tint for backdrop in backdrops]),
        textures=np.array([backdrop.texture for backdrop in backdrops], dtype=np.int64),
        props=np.concatenate(props),
        canvas=np.concatenate(canvas),
        shift=np.concatenate([shake(scene.camera, t) for scene, t in pairs]),
        gain=np.concatenate([_gain(scene.camera, t) for scene, t in pairs]),
        noise=np.concatenate(noise).astype(np.float32),
        stamps=np.concatenate(stamps),
    )


def _with_index(index: int, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.full((len(rows), 1), index, np.float32), rows], axis=1)


def _canvas(scene: Scene, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    starts = np.array([backdrop.start_s for backdrop in scene.backdrops])
    return np.searchsorted(starts, times_s, side="right").clip(1) - 1


def shake(camera: Camera, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Camera displacement at the given times, whole pixels `[F, 2]` (y, x)."""
    a, b, c, d = camera.phases
    y = np.sin(7.1 * times_s + a) + 0.6 * np.sin(16.7 * times_s + b)
    x = np.sin(6.3 * times_s + c) + 0.6 * np.sin(18.9 * times_s + d)
    limit = SLACK_PX - 1
    return np.rint(camera.shake_px * np.stack([y, x], axis=1)).clip(-limit, limit).astype(np.int64)


def _gain(camera: Camera, times_s: NDArray[np.float64]) -> NDArray[np.float32]:
    depth, period_s, phase = camera.drift
    swing = depth * np.sin(2 * np.pi * times_s / period_s + phase)
    gain: NDArray[np.float64] = 1.0 + swing[:, None] * np.asarray(camera.tint_drift)
    return gain.astype(np.float32)


def _stamps(scene: Scene, times_s: NDArray[np.float64], first: int) -> NDArray[np.float32]:
    shift = shake(scene.camera, times_s)
    rows = [np.zeros((0, 9), np.float32)]
    for index, thing in enumerate(scene.things):
        seen = np.flatnonzero((times_s >= thing.start_s) & (times_s < thing.end_s))
        row = np.empty((len(seen), 9), np.float32)
        row[:, 0] = seen + first
        row[:, 1:3] = thing.centre_px(times_s[seen]) - shift[seen]
        row[:, 3:5] = thing.radius_px, thing.shape
        row[:, 5:8] = _paint_of(thing, np.random.default_rng([scene.seed, index]))
        row[:, 8] = thing.colour
        rows.append(row)
    return np.concatenate(rows)


def _paint_of(thing: Thing, rng: np.random.Generator) -> NDArray[np.float64]:
    """The shade of a thing: near its colour's, or far from that of every name."""
    while thing.colour == OTHER:
        paint = rng.uniform(0, 255, 3)
        is_vivid = paint.max() > 130 and np.ptp(paint) > 60
        if is_vivid and np.linalg.norm(_RGB - paint, axis=1).min() > _NAMELESS_DISTANCE:
            return paint
    shade: NDArray[np.float64] = _RGB[thing.colour] + rng.uniform(-18, 18, 3)
    return shade


class Renderer:
    """Draws frame scripts on one device; holds the bank of fine textures.

    Deterministic given the generator's state, for one device type.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        side = CANVAS_PX + TEXTURE_SLACK_PX
        fine = torch.randn(TEXTURE_BANK, 1, side, side, generator=torch.Generator().manual_seed(7))
        coarse = F.avg_pool2d(fine, 3, 1, 1) * 2.0
        mix = torch.linspace(0, 1, TEXTURE_BANK).view(-1, 1, 1, 1)
        self._textures = ((fine * (1 - mix) + coarse * mix) * 7.0).to(self.device)

    def render(
        self,
        script: FrameScript,
        generator: torch.Generator | None = None,
        only: NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Draw frames: uint8 `[F, 3, 224, 224]` on the device.

        Args:
            script: What to draw.
            generator: Source of sensor noise, on the same device; None for noiseless pictures.
            only: Which frames, ascending; they look as they would among all. None: all.
        """
        num_frames = len(script.canvas)
        if only is not None:
            script = _pick(script, only)
        canvases = self._canvases(script)
        frames = self._crop(canvases, script)
        self._stamp(frames, self._to(script.stamps))
        frames *= self._to(script.gain)[:, :, None, None]
        if generator is not None:
            noise = frames.new_empty(num_frames, *frames.shape[1:]).normal_(generator=generator)
            noise = noise if only is None else noise[self._to(only)]
            frames += noise.mul_(self._to(script.noise)[:, None, None, None])
        return frames.round_().clamp_(0, 255).to(torch.uint8)

    def _to(self, array: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def _canvases(self, script: FrameScript) -> Tensor:
        size = (CANVAS_PX, CANVAS_PX)
        canvases = F.interpolate(self._to(script.tints), size, mode="bicubic", align_corners=False)
        bank, y, x = self._to(script.textures)[:, :, None, None].unbind(1)
        pixel = torch.arange(CANVAS_PX, device=self.device)
        canvases += self._textures[bank, :, y + pixel[:, None], x + pixel].movedim(-1, 1)
        return self._add_props(canvases, self._to(script.props))

    def _add_props(self, canvases: Tensor, props: Tensor) -> Tensor:
        side = torch.arange(-24, 25, device=self.device)
        dy, dx = torch.meshgrid(side, side, indexing="ij")
        centre = props[:, 1:3].round().long() + SLACK_PX
        radius, square = props[:, 3, None, None], props[:, 4, None, None]
        round_ = (dy * dy + dx * dx).float().sqrt()
        blocky = torch.maximum(dy.abs().float(), dx.abs().float() * square * 1.6)
        away = torch.where(square > 0.75, blocky, round_)
        alpha = (radius + 0.5 - away).clamp(0, 1) * 0.85
        return _paint(canvases, props[:, 0].long(), centre, (dy, dx), alpha, props[:, 5:])

    def _crop(self, canvases: Tensor, script: FrameScript) -> Tensor:
        pixel = torch.arange(FRAME_SIZE_PX, device=self.device) + SLACK_PX
        shift = self._to(script.shift)
        rows, columns = pixel + shift[:, :1], pixel + shift[:, 1:]  # [F, 224] each
        index = self._to(script.canvas)[:, None, None]
        picked = canvases.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2).contiguous()

    def _stamp(self, frames: Tensor, stamps: Tensor) -> None:
        side = torch.arange(_STAMP_PX, device=self.device) - _STAMP_PX // 2
        dy, dx = torch.meshgrid(side, side, indexing="ij")
        centre = stamps[:, 1:3].round()
        offset = (stamps[:, 1:3] - centre)[:, :, None, None]
        radius = stamps[:, 3, None, None]
        inside = _inside(dy - offset[:, 0], dx - offset[:, 1], radius, stamps[:, 4].long())
        alpha = (inside + 0.5).clamp(0, 1)
        _paint(frames, stamps[:, 0].long(), centre.long(), (dy, dx), alpha, stamps[:, 5:8])


def _pick(script: FrameScript, frames: NDArray[np.int64]) -> FrameScript:
    """Keep some frames alone, ascending."""
    stamps = script.stamps[np.isin(script.stamps[:, 0], frames)].copy()
    stamps[:, 0] = np.searchsorted(frames, stamps[:, 0])
    return replace(
        script,
        canvas=script.canvas[frames],
        shift=script.shift[frames],
        gain=script.gain[frames],
        noise=script.noise[frames],
        stamps=stamps,
    )


def _inside(dy: Tensor, dx: Tensor, radius: Tensor, shape: Tensor) -> Tensor:
    """Distance in px to the outline, positive inside, `[M, side, side]`; order of `SHAPES`."""
    ay, ax = dy.abs(), dx.abs()
    away = (dy * dy + dx * dx).sqrt()
    square = 0.86 * radius - torch.maximum(ay, ax)
    circle = radius - away
    triangle = torch.minimum(0.75 * radius - dy, (dy + radius) * 0.48 - ax * 0.87)
    arms = torch.minimum(radius - torch.maximum(ay, ax), 0.34 * radius - torch.minimum(ay, ax))
    ring = torch.minimum(circle, away - 0.55 * radius)
    every = torch.stack([square, circle, triangle, arms, ring])
    return every[shape, torch.arange(len(shape), device=shape.device)]


def _paint(
    images: Tensor,
    index: Tensor,
    centre: Tensor,
    window: tuple[Tensor, Tensor],
    alpha: Tensor,
    rgb: Tensor,
) -> Tensor:
    """Blend one colour per window into `images` `[F, 3, H, W]`, in place, in order of appearance.

    Overlapping windows within one image are blended one after the other, so none hides another's
    pixels where its own alpha is zero.
    """
    height, width = images.shape[-2:]
    for layer in _layers(index):
        y = centre[layer, 0, None, None] + window[0]
        x = centre[layer, 1, None, None] + window[1]
        visible = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        weight = (alpha[layer] * visible)[..., None]
        place = (
            index[layer, None, None],
            slice(None),
            y.clamp(0, height - 1),
            x.clamp(0, width - 1),
        )
        old = images[place[0], :, place[2], place[3]]
        new = old + weight * (rgb[layer, None, None, :] - old)
        images[place[0], :, place[2], place[3]] = torch.where(weight > 0, new, old)
    return images


def _layers(index: Tensor) -> list[Tensor]:
    """Split positions so that within a layer each image is painted at most once."""
    if len(index) == 0:
        return []
    order = torch.argsort(index, stable=True)
    sorted_index = index[order]
    first = torch.searchsorted(sorted_index, sorted_index)
    rank = torch.arange(len(index), device=index.device) - first
    return [order[rank == k] for k in range(int(rank.max()) + 1)]


__all__ = ["FrameScript", "Renderer", "pack_frames", "shake"]
