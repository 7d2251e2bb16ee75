import torch

from compressor.omni.mel import StreamingMel
from service.media.audio import SAMPLES_PER_CHUNK, AudioTrack
from service.media.spectrum import MelBlocks
from tests.media import make_noise

CHUNK = SAMPLES_PER_CHUNK


def make_track(seconds: float, start_s: float = 0.0) -> tuple[AudioTrack, torch.Tensor]:
    samples = make_noise(seconds)
    track = AudioTrack()
    track.write(start_s, samples)
    return track, samples


def offline(samples: torch.Tensor) -> torch.Tensor:
    mel = StreamingMel()
    return torch.cat([mel.push(samples), mel.flush()], dim=1)


def test_blocks_of_a_stream_equal_one_transform_over_all_of_it() -> None:
    track, samples = make_track(7.0)
    mel = MelBlocks()

    blocks = [mel.block(index, track) for index in range(3)]
    tail = mel.tail(3, track, len(samples))

    assert [block.shape for block in blocks] == [(128, 200)] * 3
    assert tail.shape == (128, 100)
    torch.testing.assert_close(torch.cat([*blocks, tail], dim=1), offline(samples))


def test_after_skipped_chunks_frames_are_aligned_again() -> None:
    track, samples = make_track(8.1)
    mel = MelBlocks()
    mel.block(0, track)

    block = mel.block(3, track)

    assert block.shape == (128, 200)
    # the first frames mirror what is before the chunk
    torch.testing.assert_close(block[:, 2:], offline(samples)[:, 602:800])


def test_a_tail_ends_the_stream_and_the_next_block_begins_one() -> None:
    track, samples = make_track(4.1)
    mel = MelBlocks()

    tail = mel.tail(0, track, CHUNK)
    block = mel.block(1, track)

    torch.testing.assert_close(tail, offline(samples[:CHUNK]))
    torch.testing.assert_close(block[:, :-2], offline(samples[CHUNK:])[:, :198])
