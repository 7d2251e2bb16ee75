import io

import av
import pytest

from service.ingest.recording.matroska import Block, cluster, first_text, head


def read(data: bytes) -> list[tuple[str, int, bytes]]:
    with av.open(io.BytesIO(data), format="matroska") as container:
        packets = [packet for packet in container.demux() if packet.size]
        return [(packet.stream.type, packet.pts, bytes(packet)) for packet in packets]


def test_blocks_are_read_in_order_with_their_times() -> None:
    data = head("test", sample_rate_hz=16_000)
    data += cluster(1.0, [Block("audio", 0.98, b"\0" * 8), Block("text", 1.0, b"one")])
    data += cluster(2.0, [Block("video", 2.5, b"two")])

    assert read(data) == [
        ("audio", 980, b"\0" * 8),
        ("subtitle", 1000, b"one"),
        ("video", 2500, b"two"),
    ]


@pytest.mark.parametrize(("cluster_s", "block_s", "pts_ms"), [(0.0, -5.0, 0), (50.0, 1.0, 17_233)])
def test_a_block_is_as_near_to_its_time_as_a_cluster_allows(
    cluster_s: float, block_s: float, pts_ms: int
) -> None:
    data = head("test", sample_rate_hz=16_000)

    data += cluster(cluster_s, [Block("text", block_s, b"x")])

    assert read(data) == [("subtitle", pts_ms, b"x")]


def test_sound_is_float_and_mono() -> None:
    data = head("test", sample_rate_hz=16_000) + cluster(0.0, [Block("audio", 0.0, b"\0" * 4)])

    with av.open(io.BytesIO(data), format="matroska") as container:
        codecs = [stream.codec_context.name for stream in container.streams.audio]
        channels = container.streams.audio[0].codec_context.layout.nb_channels
        rate = container.streams.audio[0].codec_context.sample_rate

    assert (codecs, channels, rate) == (["pcm_f32le"], 1, 16_000)


HEAD = head("test", sample_rate_hz=16_000)
FIRST = HEAD + cluster(0.0, [Block("text", 0.0, b"the header")])


def test_the_first_text_is_found_in_a_files_beginning() -> None:
    more = cluster(0.0, [Block("video", 0.0, b"a picture")])

    assert first_text(FIRST) == b"the header"
    assert first_text(FIRST + more) == b"the header"


@pytest.mark.parametrize("length", range(len(FIRST)))
def test_a_beginning_that_is_too_short_has_no_text(length: int) -> None:
    assert first_text(FIRST[:length]) is None


@pytest.mark.parametrize(
    "data",
    [
        HEAD + cluster(0.0, [Block("video", 0.0, b"a picture")]),
        b"RIFF....WAVE",
        b"\0" * 64,
        b"\xff" * 64,
        b"\xec\x80" * 1000,  # elements that say nothing, one after another
    ],
)
def test_what_does_not_begin_with_text_has_none(data: bytes) -> None:
    assert first_text(data) is None
