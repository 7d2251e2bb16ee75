"""Chunk records to bytes and back. Pure: knows the format, not where the bytes are kept.

A record is one safetensors blob: the tensors of the `CompressedChunk` as they are (embeddings in
their dtype), and everything else as JSON in the header's metadata. Nothing read is trusted: sizes,
dtypes, shapes and index ranges are checked, and bytes that fail raise `CorruptRecord`.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from compressor.tokens import CompressedChunk, Modality, TokenCounts
from service.errors import CorruptRecord
from service.media.chunk import Gap, Marks
from service.sessions.record import ChunkRecord

VERSION: Final = 1
MAX_RECORD_BYTES: Final = 64 << 20
MAX_HEADER_BYTES: Final = 1 << 20
METADATA_KEY: Final = "omnisift"
EMBEDDING_DTYPES: Final = (torch.float32, torch.bfloat16, torch.float16)
TENSORS: Final = frozenset({"embeddings", "positions", "modality", "scores", "kept"})
THUMBNAIL: Final = "thumbnail"  # a tensor that may be missing
MODALITIES: Final = frozenset({"video", "audio"})


def encode_record(record: ChunkRecord) -> bytes:
    """The record as bytes; tensors on a device are copied to the host.

    Raises:
        ValueError: If it is larger than `MAX_RECORD_BYTES`.
    """
    tensors = {
        name: getattr(record.compressed, name).detach().cpu().contiguous() for name in TENSORS
    }
    if record.marks.thumbnail is not None:
        tensors[THUMBNAIL] = torch.frombuffer(bytearray(record.marks.thumbnail), dtype=torch.uint8)
    data = save(tensors, {METADATA_KEY: json.dumps(_metadata(record), separators=(",", ":"))})
    if len(data) > MAX_RECORD_BYTES:
        raise ValueError(f"chunk {record.index} takes {len(data)} bytes, over {MAX_RECORD_BYTES}")
    return data


def decode_record(data: bytes) -> ChunkRecord:
    """The record of `encode_record`'s bytes, tensors on the CPU.

    Raises:
        CorruptRecord: If the bytes are not a valid record of this version.
    """
    metadata = _read_metadata(data)
    try:
        if metadata["v"] != VERSION:
            raise CorruptRecord(f"version {metadata['v']}, this is version {VERSION}")
        record = _build(metadata, load(data))
    except (KeyError, TypeError, ValueError, OverflowError, SafetensorError) as exc:
        raise CorruptRecord(f"{type(exc).__name__}: {exc}") from exc
    _check_record(record)
    _check_tensors(record.compressed)
    return record


def _metadata(record: ChunkRecord) -> dict[str, Any]:
    compressed = record.compressed
    return {
        "v": VERSION,
        "index": record.index,
        "follows": record.follows,
        "start_s": compressed.start_s,
        "next_position": compressed.next_position,
        "in": [compressed.counts_in.video, compressed.counts_in.audio],
        "kept": [compressed.counts_kept.video, compressed.counts_kept.audio],
        "grid_sizes": record.grid_sizes,
        "cuts_s": record.marks.cuts_s,
        "onsets_s": record.marks.onsets_s,
        "gaps": [[gap.modality, gap.start_s, gap.duration_s] for gap in record.gaps],
    }


def _read_metadata(data: bytes) -> Mapping[str, Any]:
    # safetensors gives metadata of files only; the header is a length and JSON
    if not 8 <= len(data) <= MAX_RECORD_BYTES:
        raise CorruptRecord(f"{len(data)} bytes")
    (header_bytes,) = struct.unpack_from("<Q", data)
    if header_bytes > min(MAX_HEADER_BYTES, len(data) - 8):
        raise CorruptRecord(f"header of {header_bytes} bytes in {len(data)}")
    try:
        metadata = json.loads(json.loads(data[8 : 8 + header_bytes])["__metadata__"][METADATA_KEY])
    except (KeyError, TypeError, ValueError, RecursionError) as exc:
        raise CorruptRecord(f"no metadata in its header ({type(exc).__name__})") from exc
    if not isinstance(metadata, dict):
        raise CorruptRecord("metadata is not an object")
    return metadata


def _build(metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ChunkRecord:
    thumbnail = tensors.get(THUMBNAIL)
    if tensors.keys() - {THUMBNAIL} != TENSORS:
        raise CorruptRecord(f"tensors {sorted(tensors)}")
    compressed = CompressedChunk(
        **{name: tensors[name] for name in TENSORS},
        start_s=_number(metadata["start_s"]),
        next_position=_integer(metadata["next_position"]),
        counts_in=_counts(metadata["in"]),
        counts_kept=_counts(metadata["kept"]),
    )
    return ChunkRecord(
        index=_integer(metadata["index"]),
        follows=_integer(metadata["follows"], least=-1),
        compressed=compressed,
        grid_sizes=tuple((_integer(rows), _integer(cols)) for rows, cols in metadata["grid_sizes"]),
        gaps=tuple(_gap(*gap) for gap in metadata["gaps"]),
        marks=Marks(
            # records of earlier versions have no marks
            cuts_s=tuple(map(_number, metadata.get("cuts_s", ()))),
            onsets_s=tuple(map(_number, metadata.get("onsets_s", ()))),
            thumbnail=None if thumbnail is None else _bytes(thumbnail),
        ),
    )


def _bytes(tensor: Tensor) -> bytes:
    if tensor.dtype != torch.uint8 or tensor.dim() != 1:
        raise ValueError(f"{tensor.dtype} {list(tensor.shape)} where bytes were expected")
    return tensor.numpy().tobytes()


def _integer(value: object, *, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 1 << 53:
        raise ValueError(f"{value!r} where an integer from {least} was expected")
    return value


def _number(value: object) -> float:
    if type(value) is bool or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} where a finite number was expected")
    return float(value)


def _counts(value: Any) -> TokenCounts:
    video, audio = value
    return TokenCounts(_integer(video), _integer(audio))


def _gap(modality: Any, start_s: Any, duration_s: Any) -> Gap:
    if modality not in MODALITIES:
        raise ValueError(f"gap in {modality!r}")
    return Gap(modality, _number(start_s), _number(duration_s))


def _check_record(record: ChunkRecord) -> None:
    chunk = record.compressed
    if record.follows >= record.index:
        raise CorruptRecord(f"chunk {record.index} follows {record.follows}")
    if (
        chunk.counts_kept.video > chunk.counts_in.video
        or chunk.counts_kept.audio > chunk.counts_in.audio
    ):
        raise CorruptRecord(f"kept {chunk.counts_kept} of {chunk.counts_in}")


def _check_tensors(chunk: CompressedChunk) -> None:
    num_kept = chunk.counts_kept.total
    if chunk.embeddings.dim() != 2 or chunk.embeddings.dtype not in EMBEDDING_DTYPES:
        raise CorruptRecord(
            f"embeddings {chunk.embeddings.dtype} {list(chunk.embeddings.shape)}, not float [K, D]"
        )
    _check_tensor("embeddings", chunk.embeddings[:, :0], (num_kept, 0), chunk.embeddings.dtype)
    _check_tensor("positions", chunk.positions, (3, num_kept), torch.int64)
    _check_tensor("modality", chunk.modality, (num_kept,), torch.uint8)
    _check_tensor("scores", chunk.scores, (num_kept,), torch.float32)
    _check_tensor("kept", chunk.kept, (num_kept,), torch.int64)
    if num_kept:
        _check_values(chunk)


def _check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tensor.shape != shape or tensor.dtype != dtype:
        raise CorruptRecord(
            f"{name} {tensor.dtype} {list(tensor.shape)}, expected {dtype} {list(shape)}"
        )


def _check_values(chunk: CompressedChunk) -> None:
    if not 0 <= int(chunk.positions.min()) <= int(chunk.positions.max()) < chunk.next_position:
        raise CorruptRecord(f"positions outside 0 to {chunk.next_position - 1}")
    kept = chunk.kept
    if int(kept[0]) < 0 or int(kept[-1]) >= chunk.counts_in.total or bool((kept.diff() <= 0).any()):
        raise CorruptRecord(f"kept indices not ascending in 0 to {chunk.counts_in.total - 1}")
    counts = torch.bincount(chunk.modality, minlength=len(Modality)).tolist()
    if counts != [chunk.counts_kept.video, chunk.counts_kept.audio]:
        raise CorruptRecord(f"modalities count {counts}, kept are {chunk.counts_kept}")
