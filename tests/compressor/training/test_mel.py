import torch

from compressor.omni.mel import StreamingMel
from compressor.training.mel import LogMel


def test_batched_mel_equals_the_streaming_front_end() -> None:
    generator = torch.Generator().manual_seed(0)
    waves = torch.randn(2, 32_000, generator=generator) * torch.tensor([[0.01], [0.2]])

    found = LogMel()(waves)

    for wave, mel in zip(waves, found, strict=True):
        stream = StreamingMel()
        expected = torch.cat([stream.push(wave), stream.flush()], dim=1)
        torch.testing.assert_close(mel, expected, atol=1e-5, rtol=1e-4)
