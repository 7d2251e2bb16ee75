"""Media to tokens with the towers of Qwen2.5-Omni, chunks of any sessions in one batch.

Synchronous; knows nothing about who asks, queues or processes.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniVisionEncoder,
)

from compressor.omni.checkpoint import load_audio_tower, load_config, load_vision_tower
from compressor.omni.patches import MERGE, TOKEN_PX, check_grid, grid_tokens, patchify
from compressor.omni.positions import IDS_PER_S, chunk_positions
from compressor.tokens import TokenChunk
from service.encoder.projection import project_by_product
from service.encoder.windows import attend_in_windows
from service.media.chunk import GRIDS_PER_CHUNK, MEL_FRAMES_PER_CHUNK, EncodedChunk, MediaChunk

MIN_MEL_FRAMES = 3  # fewer make no token
_WARM_UP_SIDE_PX = 8 * TOKEN_PX


class OmniEncoder:
    """Encodes chunks with an audio and a vision tower.

    Grids never attend to each other and neither do 2 s blocks of audio, so a chunk's tokens are
    the same whatever else is in its batch, and the same as in one forward over the whole stream
    (up to rounding: 2e-5 in fp32, where values are of size 1).

    Args:
        audio_tower: On any device, of any dtype.
        vision_tower: On the same device, of the same dtype and output width.
        ids_per_s: Position ids per second of stream, from the model's config.
    """

    def __init__(
        self,
        audio_tower: Qwen2_5OmniAudioEncoder,
        vision_tower: Qwen2_5OmniVisionEncoder,
        *,
        ids_per_s: int = IDS_PER_S,
    ) -> None:
        self._audio_tower = audio_tower
        self._vision_tower = vision_tower
        self._ids_per_s = ids_per_s
        self._hidden_size = int(vision_tower.config.out_hidden_size)

    @classmethod
    def from_checkpoint(
        cls,
        source: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> "OmniEncoder":
        """Load both towers, and nothing else, from a checkpoint folder or hub id.

        Raises:
            FileNotFoundError: If the checkpoint or one of its files is missing.
            ValueError: If it is damaged or no Qwen2.5-Omni.
        """
        return cls.from_towers(
            load_audio_tower(source, dtype, device),
            load_vision_tower(source, dtype, device),
            ids_per_s=int(load_config(source).position_id_per_seconds),
        )

    @classmethod
    def from_towers(
        cls,
        audio_tower: Qwen2_5OmniAudioEncoder,
        vision_tower: Qwen2_5OmniVisionEncoder,
        *,
        ids_per_s: int = IDS_PER_S,
    ) -> "OmniEncoder":
        """Take towers as transformers makes them, and speed them up; see the class."""
        project_by_product(vision_tower)
        attend_in_windows(vision_tower, "attn")
        attend_in_windows(audio_tower, "self_attn")
        return cls(audio_tower, vision_tower, ids_per_s=ids_per_s)

    def warm_up(self) -> None:
        """Encode blank chunks, so that the first real one does not pay for set-up."""
        grid = torch.zeros(2, 3, _WARM_UP_SIDE_PX, _WARM_UP_SIDE_PX, dtype=torch.uint8)
        mel = torch.zeros(self._audio_tower.config.num_mel_bins, MEL_FRAMES_PER_CHUNK)
        chunk = MediaChunk(index=0, grids=(grid, grid), mel=mel)
        self.encode([chunk])
        self.encode([chunk, chunk])

    def encode(self, chunks: Sequence[MediaChunk]) -> list[EncodedChunk]:
        """Encode chunks together, in order.

        Returns:
            Tokens on the CPU in the towers' dtype, ids relative to stream time zero. No tensor
            shares memory with another chunk's.

        Raises:
            ValueError: If a chunk's tensors have a wrong shape or dtype; nothing is encoded.
        """
        for chunk in chunks:
            self._check(chunk)
        with torch.inference_mode():
            video = self._encode_grids([grid for chunk in chunks for grid in _pictures(chunk)])
            audio = self._encode_audio([chunk.mel for chunk in chunks])
        grids = iter(video)
        # outside, so that the copies made here are ordinary tensors
        return [
            self._assemble(chunk, list(islice(grids, len(_pictures(chunk)))), tokens)
            for chunk, tokens in zip(chunks, audio, strict=True)
        ]

    def _encode_grids(self, grids: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return `[P, D]` per grid, all encoded in one packed forward."""
        if not grids:
            return []
        device = self._vision_tower.device
        sizes = [grid_tokens(grid) for grid in grids]
        # bytes cross to the device, where they become floats
        patches = torch.cat([patchify(grid.to(device)) for grid in grids])
        shapes = torch.tensor(
            [[1, rows * MERGE, columns * MERGE] for rows, columns in sizes], device=device
        )
        tokens = self._vision_tower(patches, grid_thw=shapes).pooler_output.cpu()
        return list(tokens.split([rows * columns for rows, columns in sizes]))

    def _encode_audio(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        """Return `[A, D]` per block, all encoded in one packed forward."""
        counts = [num_audio_tokens(mel.shape[1]) for mel in blocks]
        audible = [mel for mel, count in zip(blocks, counts, strict=True) if count]
        if not audible:
            return [self._empty(0) for _ in blocks]
        device = self._audio_tower.device
        lengths = torch.tensor([mel.shape[1] for mel in audible], device=device)
        features = torch.cat(audible, dim=1).to(device)
        tokens = self._audio_tower(features, feature_lens=lengths).last_hidden_state.cpu()
        return list(tokens.split(counts))

    def _assemble(self, chunk: MediaChunk, grids: list[Tensor], audio: Tensor) -> EncodedChunk:
        sizes = [None if grid is None else grid_tokens(grid) for grid in chunk.grids]
        positions = chunk_positions(chunk.start_s, sizes, len(audio), ids_per_s=self._ids_per_s)
        tokens = TokenChunk(
            video=self._join(grids),
            # a view would drag the whole batch along wherever it is sent
            audio=audio.clone(),
            positions=positions,
            start_s=chunk.start_s,
        )
        known = tuple(size for size in sizes if size is not None)
        return EncodedChunk(chunk.index, tokens, known, chunk.gaps, chunk.marks)

    def _join(self, grids: list[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Copy grids into `[T, P, D]`, or into a tuple where their sizes differ."""
        if not grids:
            return self._empty(0, 0)
        if len({len(grid) for grid in grids}) == 1:
            return torch.stack(grids)
        return tuple(grid.clone() for grid in grids)

    def _empty(self, *lengths: int) -> Tensor:
        return torch.empty(*lengths, self._hidden_size, dtype=self._audio_tower.dtype)

    def _check(self, chunk: MediaChunk) -> None:
        if len(chunk.grids) > GRIDS_PER_CHUNK:
            raise ValueError(f"a chunk has at most {GRIDS_PER_CHUNK} grids, got {len(chunk.grids)}")
        for grid in _pictures(chunk):
            check_grid(grid)
        bins = self._audio_tower.config.num_mel_bins
        shape = list(chunk.mel.shape)
        is_right = len(shape) == 2 and shape[0] == bins and shape[1] <= MEL_FRAMES_PER_CHUNK
        if not is_right or chunk.mel.dtype != torch.float32:
            raise ValueError(
                f"mel must be [{bins}, F] float32 with F of at most {MEL_FRAMES_PER_CHUNK}, "
                f"got {shape} {chunk.mel.dtype}"
            )


def num_audio_tokens(mel_frames: int) -> int:
    """Return the tokens that the audio tower makes of this many mel frames, 200 at most."""
    return ((mel_frames - 1) // 2 + 1) // 2 if mel_frames >= MIN_MEL_FRAMES else 0


def _pictures(chunk: MediaChunk) -> list[Tensor]:
    return [grid for grid in chunk.grids if grid is not None]


__all__ = ["MIN_MEL_FRAMES", "OmniEncoder", "num_audio_tokens"]
