import json
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from compressor.tokens import TokenCounts
from service.errors import CorruptRecord
from service.media.chunk import Gap, Marks
from service.sessions import codec
from service.sessions.codec import decode_record, encode_record
from tests.records import assert_same_record, make_record

Change = Callable[[dict[str, Any]], None]


def tampered(
    *, metadata: Change | None = None, tensors: Change | None = None, index: int = 3
) -> bytes:
    """A valid record with something in it changed."""
    data = encode_record(make_record(index))
    (header_bytes,) = struct.unpack_from("<Q", data)
    fields = json.loads(json.loads(data[8 : 8 + header_bytes])["__metadata__"]["omnisift"])
    parts = load(data)
    if metadata:
        metadata(fields)
    if tensors:
        tensors(parts)
    return save(parts, {"omnisift": json.dumps(fields)})


@given(
    index=st.integers(0, 100_000),
    skipped=st.integers(0, 5),
    num_video=st.integers(0, 40),
    num_audio=st.integers(0, 25),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_record_comes_back_bit_for_bit(
    index: int, skipped: int, num_video: int, num_audio: int, dtype: torch.dtype
) -> None:
    record = make_record(
        index,
        follows=max(-1, index - 1 - skipped),
        num_video=num_video,
        num_audio=num_audio,
        dtype=dtype,
    )

    assert_same_record(decode_record(encode_record(record)), record)


def test_marks_come_back() -> None:
    marks = Marks(cuts_s=(6.5,), onsets_s=(6.04, 7.0), thumbnail=bytes(range(256)))

    record = decode_record(encode_record(replace(make_record(3), marks=marks)))

    assert record.marks == marks


def test_record_without_marks_is_read() -> None:
    data = tampered(metadata=lambda fields: [fields.pop("cuts_s"), fields.pop("onsets_s")])

    assert decode_record(data).marks == Marks()


def test_thumbnail_that_is_no_bytes_is_corrupt() -> None:
    data = tampered(tensors=lambda parts: parts.update(thumbnail=torch.zeros(3)))

    with pytest.raises(CorruptRecord, match="bytes"):
        decode_record(data)


def test_chunk_without_media_comes_back() -> None:
    record = make_record(0, num_video=0, num_audio=0)
    empty = replace(
        record,
        grid_sizes=(),
        gaps=(Gap("video", 0.0, 2.0), Gap("audio", 0.0, 2.0)),
        compressed=replace(record.compressed, next_position=0, counts_in=TokenCounts(0, 0)),
    )

    assert_same_record(decode_record(encode_record(empty)), empty)


def test_views_of_larger_tensors_are_written_as_they_look() -> None:
    record = make_record(0)
    wide = torch.randn(2 * len(record.compressed.kept), 16)
    record = replace(record, compressed=replace(record.compressed, embeddings=wide[::2, :8]))

    assert_same_record(decode_record(encode_record(record)), record)


def test_embeddings_dominate_the_size() -> None:
    record = make_record(0, num_video=60, num_audio=25, hidden_size=2048, dtype=torch.bfloat16)

    overhead_bytes = len(encode_record(record)) - 85 * 2048 * 2

    assert overhead_bytes < 4500  # 37 bytes per token and the header


def test_record_over_the_limit_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_RECORD_BYTES", 100)

    with pytest.raises(ValueError, match="over 100"):
        encode_record(make_record(0))


@given(st.data())
def test_any_damage_is_noticed_or_harmless(data: st.DataObject) -> None:
    whole = bytearray(encode_record(make_record(3)))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))

    try:
        record = decode_record(bytes(whole))
    except CorruptRecord:
        return
    assert record.compressed.embeddings.shape == (5, 8)


@given(st.binary(max_size=300))
def test_random_bytes_are_no_record(data: bytes) -> None:
    with pytest.raises(CorruptRecord):
        decode_record(data)


@given(st.integers(0, 10_000))
def test_truncated_record_is_noticed(cut: int) -> None:
    whole = encode_record(make_record(3))

    with pytest.raises(CorruptRecord):
        decode_record(whole[: cut % len(whole)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("v", 2),
        ("index", -1),
        ("index", 1.0),
        ("index", True),
        ("index", 1 << 60),
        ("follows", -2),
        ("follows", 3),
        ("start_s", float("nan")),
        ("start_s", "6.0"),
        ("next_position", 0),
        ("in", [6]),
        ("in", [2, 4]),
        ("kept", [2, 3]),
        ("kept", [6, 4]),
        ("grid_sizes", [[1]]),
        ("grid_sizes", 5),
        ("gaps", [["smell", 0.0, 1.0]]),
        ("gaps", [["video", 0.0]]),
        ("gaps", [[["video"], 0.0, 1.0]]),
        ("gaps", [["video", 0.0, float("inf")]]),
    ],
)
def test_wrong_metadata_is_noticed(name: str, value: object) -> None:
    with pytest.raises(CorruptRecord):
        decode_record(tampered(metadata=lambda fields: fields.update({name: value})))


@pytest.mark.parametrize("name", ["v", "index", "follows", "in", "kept", "gaps", "next_position"])
def test_missing_metadata_is_noticed(name: str) -> None:
    with pytest.raises(CorruptRecord, match=name):
        decode_record(tampered(metadata=lambda fields: fields.pop(name)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("embeddings", torch.zeros(5, 8, dtype=torch.int32)),
        ("embeddings", torch.zeros(5, 8, dtype=torch.float64)),
        ("embeddings", torch.zeros(4, 8)),
        ("embeddings", torch.zeros(40)),
        ("positions", torch.zeros(3, 5)),
        ("positions", torch.zeros(2, 5, dtype=torch.int64)),
        ("positions", torch.full((3, 5), -1)),
        ("positions", torch.full((3, 5), 10_000)),
        ("modality", torch.full((5,), 2, dtype=torch.uint8)),
        ("modality", torch.ones(5, dtype=torch.uint8)),
        ("modality", torch.zeros(5, dtype=torch.int64)),
        ("scores", torch.zeros(5, dtype=torch.bfloat16)),
        ("scores", torch.zeros(4)),
        ("kept", torch.tensor([0, 1, 2, 3, 10])),
        ("kept", torch.tensor([-1, 1, 2, 3, 4])),
        ("kept", torch.tensor([0, 1, 2, 2, 4])),
        ("kept", torch.tensor([0, 2, 1, 3, 4])),
        ("extra", torch.zeros(1)),
    ],
)
def test_wrong_tensor_is_noticed(name: str, value: torch.Tensor) -> None:
    with pytest.raises(CorruptRecord):
        decode_record(tampered(tensors=lambda parts: parts.update({name: value})))


def test_missing_tensor_is_noticed() -> None:
    with pytest.raises(CorruptRecord, match="tensors"):
        decode_record(tampered(tensors=lambda parts: parts.pop("scores")))


def test_untampered_record_is_read() -> None:
    assert_same_record(decode_record(tampered()), make_record(3))


def test_blob_of_another_program_is_no_record() -> None:
    for blob in (save({"a": torch.zeros(1)}), save({"a": torch.zeros(1)}, {"omnisift": "[1]"})):
        with pytest.raises(CorruptRecord, match="metadata"):
            decode_record(blob)
