import torch

from compressor.training.codec import degrade


def pictures() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 14, 14, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, (224, 224), mode="bicubic").clamp(0, 255)
    return smooth.to(torch.uint8)


def test_more_strength_loses_more() -> None:
    frames = pictures()

    errors = [
        (degrade(frames, torch.full((3,), strength)).float() - frames.float()).abs().mean()
        for strength in (0.0, 2.0, 8.0, 16.0)
    ]

    assert errors == sorted(errors)
    assert errors[0] < 3
    assert errors[-1] < 20


def test_grey_is_untouched_at_zero_strength() -> None:
    frames = pictures()[:, :1].expand(-1, 3, -1, -1).contiguous()

    degraded = degrade(frames, torch.zeros(3))

    assert (degraded.int() - frames.int()).abs().max() <= 1


def test_each_frame_has_its_own_strength() -> None:
    frames = pictures()
    strength = torch.tensor([0.0, 16.0, 0.0])

    degraded = degrade(frames, strength)

    assert torch.equal(degraded[0], degrade(frames[:1], torch.zeros(1))[0])
    assert torch.equal(degraded[1], degrade(frames[1:2], torch.full((1,), 16.0))[0])
