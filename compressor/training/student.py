"""The model under training: thinker, audio selector and the heads that only training needs.

Knows nothing about scenes or optimisation.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen2_5OmniThinkerConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniThinkerTextModel,
    Qwen2_5OmniVisionEncoder,
)

from compressor.audio import AudioSelector
from compressor.config import CompressorConfig, SelectorConfig
from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.positions import (
    chunk_positions,
    header_positions,
    stream_base,
    tail_positions,
)
from compressor.training.binding import HEADS
from compressor.training.reader import Reader, Sequence
from compressor.training.scenes import COLOURS, SHAPES, SOUNDS, WORDS
from compressor.training.towers import GRID_TOKENS, FastAudio, FastVision

CHUNK_S = 2
GRID = GRID_TOKENS**2
AUDIO_TOKENS = 50
_RESIDUAL_OUTPUTS = ("o_proj", "down_proj", "out_proj", "fc2", "attn.proj")
_EMBEDDING_STD = 0.5
_HEAD_SCALE = 0.3


@dataclass(frozen=True, slots=True)
class Tokens:
    """All tokens of B clips of C chunks.

    Attributes:
        video: `[B, C, 2, 64, D]`.
        audio: `[B, C, 50, D]`.
    """

    video: Tensor
    audio: Tensor


@dataclass(frozen=True, slots=True)
class Kept:
    """Tokens of B clips that the text model gets to see, in its order.

    Attributes:
        embeddings: `[B, K, D]`; those that do not exist in a clip are at its end.
        index: `[B, K]` int64, which token of its clip each one is (chunk by chunk: grid 1, grid 2,
            audio).
        seen: `[B, K]` bool, which of them exist.
    """

    embeddings: Tensor
    index: Tensor
    seen: Tensor


class Thinker(nn.Module):
    """The parts of a checkpoint, under their published names less the leading `thinker.`.

    transformers' standalone classes: its composite names its parts differently from release to
    release.
    """

    def __init__(self, config: Qwen2_5OmniThinkerConfig, selector: AudioSelector) -> None:
        super().__init__()
        text = config.get_text_config()
        self.audio_tower = _build(Qwen2_5OmniAudioEncoder, config.audio_config)
        self.visual = _build(Qwen2_5OmniVisionEncoder, config.vision_config)
        self.model = _build(Qwen2_5OmniThinkerTextModel, text)
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        _initialise(self, text.num_hidden_layers)
        self.compressor = selector


class Student(nn.Module):
    """A small thinker with its selector; `heads` see single tokens and teach the towers to see.

    Attributes:
        geometry: Its sizes.
        thinker: All that is shipped.
        selector: The audio selector, `thinker.compressor`.
        heads: Linear classifiers of single tokens, for training only.
        binding: Linear classifiers of middle states, for training only.
    """

    def __init__(self, geometry: Geometry, seed: int = 0) -> None:
        super().__init__()
        self.geometry = geometry
        config = thinker_config(geometry)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            selector = AudioSelector(selector_config(geometry, seed))
            self.thinker = Thinker(config, selector)
            width = geometry.hidden_size
            self.heads = nn.ModuleDict(
                {
                    "colour": nn.Linear(width, 1 + len(COLOURS)),
                    "shape": nn.Linear(width, 1 + len(SHAPES)),
                    "sound": nn.Linear(width, 1 + len(SOUNDS) + len(WORDS)),
                }
            )
            self.binding = nn.ModuleDict(
                {name: nn.Linear(width, size) for name, size in HEADS.items()}
            )
        self.vision = FastVision(self.thinker.visual)
        self.hearing = FastAudio(self.thinker.audio_tower)
        self.reader = Reader(self.thinker.model)

    @property
    def selector(self) -> AudioSelector:
        return self.thinker.compressor

    @torch.no_grad()
    def average_with(self, other: "Student") -> None:
        """Take the mean of all that is shipped, of this student and of another of its geometry.

        Where one was fine-tuned from the other, the mean is often better than either (arXiv
        2109.01903).
        """
        pairs = zip(self.thinker.parameters(), other.thinker.parameters(), strict=True)
        for own, others in pairs:
            own.lerp_(others.to(own.device), 0.5)

    def encode(self, patches: Tensor, mel: Tensor) -> Tokens:
        """Run both towers.

        Args:
            patches: `[B * T, 256, 1176]`, T even grids per clip.
            mel: `[B, 128, 100 * T]`.
        """
        num_clips, num_chunks = len(mel), mel.shape[2] // (100 * CHUNK_S)
        video = self.vision(patches).view(num_clips, num_chunks, CHUNK_S, GRID, -1)
        blocks = mel.view(num_clips, mel.shape[1], num_chunks, -1).transpose(1, 2).flatten(0, 1)
        audio = self.hearing(blocks).view(num_clips, num_chunks, AUDIO_TOKENS, -1)
        return Tokens(video, audio)

    def answer(
        self, kept: Kept, header: Tensor, tails: Tensor, places: "Places"
    ) -> tuple[Tensor, Tensor]:
        """Read what was kept and the questions.

        Args:
            kept: The stream's tokens.
            header: Ids `[H]` of what precedes the stream.
            tails: Ids `[B, Q, L]` of the questions.
            places: Position ids of this clip length.

        Returns:
            Logits `[B, Q, L, V]`, and the middle states of the kept tokens `[B, K, D]`.
        """
        num_clips, num_questions, _ = tails.shape
        embed = self.thinker.model.embed_tokens
        opening = embed(header).to(kept.embeddings.dtype).expand(num_clips, -1, -1)
        stream = Sequence(torch.cat([opening, kept.embeddings], dim=1), places.stream(kept.index))
        asked = Sequence(
            embed(tails.flatten(1)).to(kept.embeddings.dtype),
            places.tail[:, :, None].expand(-1, -1, num_questions, -1).flatten(2),
        )
        is_header = torch.ones(num_clips, len(header), dtype=torch.bool, device=header.device)
        seen = torch.cat([is_header, kept.seen], dim=1)
        hidden, middle = self.reader(stream, asked, num_questions, seen)
        return self.thinker.lm_head(hidden), middle[:, len(header) :]


@dataclass(frozen=True, slots=True)
class Places:
    """Position ids of clips of one length.

    Attributes:
        header: `[3, B, H]`.
        media: `[3, B, N]`, all tokens of the stream.
        tail: `[3, B, L]`, of one question.
    """

    header: Tensor
    media: Tensor
    tail: Tensor

    def stream(self, index: Tensor) -> Tensor:
        """Ids of the header and of the kept tokens `index` `[B, K]`: `[3, B, H + K]`."""
        kept = self.media.gather(2, index.expand(3, -1, -1))
        return torch.cat([self.header, kept], dim=2)


def place(num_chunks: int, header_tokens: int, tail_tokens: int, shifts: Tensor) -> Places:
    """Number the tokens of clips whose streams start `shifts` `[B]` ids late."""
    sizes = [(GRID_TOKENS, GRID_TOKENS)] * CHUNK_S
    chunks = [chunk_positions(CHUNK_S * c, sizes, AUDIO_TOKENS) for c in range(num_chunks)]
    media = torch.cat(chunks, dim=1) + stream_base(header_tokens)
    tail = tail_positions(int(media.max()) + 1, tail_tokens)
    late = shifts[None, :, None]
    header = header_positions(header_tokens).to(late.device)[:, None].expand(-1, len(shifts), -1)
    return Places(
        header, media.to(late.device)[:, None] + late, tail.to(late.device)[:, None] + late
    )


def selector_config(geometry: Geometry, seed: int = 0) -> CompressorConfig:
    """Configuration of the selector that goes with a geometry."""
    width = geometry.selector_size
    size = SelectorConfig(width, geometry.selector_heads, width // 2, seed)
    return CompressorConfig.from_profile(
        "paper-25", hidden_size=geometry.hidden_size, selector=size
    )


def keep_all(tokens: Tokens) -> Kept:
    """Keep every token."""
    by_chunk = torch.cat([tokens.video.flatten(2, 3), tokens.audio], dim=2)
    embeddings = by_chunk.flatten(1, 2)
    index = torch.arange(embeddings.shape[1], device=embeddings.device)
    index = index.expand(len(embeddings), -1)
    return Kept(embeddings, index, torch.ones_like(index, dtype=torch.bool))


def _build(kind: Any, config: Any) -> Any:
    return kind._from_config(config, attn_implementation="sdpa")


@torch.no_grad()
def _initialise(thinker: nn.Module, num_layers: int) -> None:
    """Fan-in scaling, damped residual outputs: the stock 0.02 learns badly at these widths."""
    for name, parameter in thinker.named_parameters():
        if "embed_tokens" in name or "bos_eos" in name:
            parameter.normal_(0.0, _EMBEDDING_STD)
        elif parameter.ndim >= 2:
            parameter.normal_(0.0, parameter[0].numel() ** -0.5)
            if any(part in name for part in _RESIDUAL_OUTPUTS):
                parameter.mul_((2 * num_layers) ** -0.5)
        if "lm_head" in name:
            parameter.mul_(_HEAD_SCALE)


__all__ = ["GRID", "Kept", "Places", "Student", "Tokens", "keep_all", "place", "selector_config"]
