"""The conversation around a live stream, as token ids. Knows nothing about weights or positions.

    header   <|im_start|>system ... <|im_end|> <|im_start|>user <|vision_bos|><|audio_bos|>
    stream   chunks, as embeddings
    tail     <|audio_eos|><|vision_eos|> question <|im_end|> <|im_start|>assistant

The header is prefilled once per session; a tail goes onto a fork of it, so the stream stays open.
Text of users is never read for special tokens: no message can close a turn or forge a marker.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2_5OmniThinkerConfig

from compressor.omni.detokenizer import Detokenizer

DEFAULT_INSTRUCTIONS = "You are a helpful assistant."
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Ids of the tokens that structure a conversation, as one checkpoint numbers them."""

    vision_bos: int
    vision_eos: int
    audio_bos: int
    audio_eos: int
    im_start: int
    im_end: int
    end_of_text: int

    @classmethod
    def of(
        cls, config: Qwen2_5OmniThinkerConfig, tokenizer: PreTrainedTokenizerBase
    ) -> "SpecialIds":
        """Read them from the config where it names them, else from the tokenizer.

        Raises:
            ValueError: If neither knows one of them.
        """
        return cls(
            vision_bos=_special_id(config, "vision_start_token_id", tokenizer, "<|vision_bos|>"),
            vision_eos=_special_id(config, "vision_end_token_id", tokenizer, "<|vision_eos|>"),
            audio_bos=_special_id(config, "audio_start_token_id", tokenizer, "<|audio_bos|>"),
            audio_eos=_special_id(config, "audio_end_token_id", tokenizer, "<|audio_eos|>"),
            im_start=_vocabulary_id(tokenizer, "<|im_start|>"),
            im_end=_vocabulary_id(tokenizer, "<|im_end|>"),
            end_of_text=_vocabulary_id(tokenizer, "<|endoftext|>"),
        )


class ChatLayout:
    """Builds header and tail, and says which ids a model may answer with.

    Attributes:
        special: Ids of the structuring tokens.
        stop_ids: Ids that end an answer.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, config: Qwen2_5OmniThinkerConfig
    ) -> None:
        self.special = SpecialIds.of(config, tokenizer)
        self.stop_ids = frozenset(
            {self.special.im_end, self.special.end_of_text, *_eos_ids(config)}
        )
        self._tokenizer = tokenizer
        self._vocab_size = int(config.get_text_config().vocab_size)

    def header(self, instructions: str | None = None) -> list[int]:
        """Return the ids that precede the stream; the last two are its opening markers.

        Args:
            instructions: System prompt; None for the default, empty for no system turn.
        """
        text = DEFAULT_INSTRUCTIONS if instructions is None else instructions
        system = self._turn("system", text) if text else []
        opening = [self.special.vision_bos, self.special.audio_bos]
        return [*system, *self._start("user"), *opening]

    def tail(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        """Return the ids that follow the stream; the first two are its closing markers.

        Args:
            messages: (role, text), oldest first, at least one, the last by "user". The first
                continues the user's turn that holds the stream.

        Raises:
            ValueError: On no message, an unknown role or a last message not by "user".
        """
        _check(messages)
        ids = [self.special.audio_eos, self.special.vision_eos]
        first_role, first_text = messages[0]
        rest = messages
        if first_role == "user":
            ids += self.encode(first_text)
            rest = messages[1:]
        ids += self._end()
        for role, text in rest:
            ids += self._turn(role, text)
        return ids + self._start("assistant")

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text; names of special tokens in it are text like any other."""
        ids: list[int] = self._tokenizer.encode(
            text, add_special_tokens=False, split_special_tokens=True
        )
        return ids

    def allowed_ids(self) -> Tensor:
        """Mark the ids that may be generated: `[V]` bool, V the width of the logits.

        False for placeholders, markers and all other special tokens but `stop_ids`, and for rows
        of the vocabulary that no token uses.
        """
        allowed = torch.arange(self._vocab_size) < len(self._tokenizer)
        for token_id, token in self._tokenizer.added_tokens_decoder.items():
            if token.special and token_id not in self.stop_ids:
                allowed[token_id] = False
        return allowed

    def detokenizer(self) -> Detokenizer:
        """Return a detokenizer for one answer."""
        return Detokenizer(self._tokenizer)

    def _turn(self, role: str, text: str) -> list[int]:
        return [*self._start(role), *self.encode(text), *self._end()]

    def _start(self, role: str) -> list[int]:
        return [self.special.im_start, *self.encode(f"{role}\n")]

    def _end(self) -> list[int]:
        return [self.special.im_end, *self.encode("\n")]


def _check(messages: Sequence[tuple[str, str]]) -> None:
    if unknown := [role for role, _ in messages if role not in ROLES]:
        raise ValueError(f"role must be one of {', '.join(ROLES)}, not {unknown[0]!r}")
    if not messages or messages[-1][0] != "user":
        raise ValueError("a conversation must end with a message by 'user'")


def _special_id(
    config: Qwen2_5OmniThinkerConfig,
    field: str,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
) -> int:
    token_id = getattr(config, field, None)
    return _vocabulary_id(tokenizer, name) if token_id is None else int(token_id)


def _vocabulary_id(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    token_id = tokenizer.get_vocab().get(name)
    if token_id is None:
        raise ValueError(f"the tokenizer has no {name}: it is not one of Qwen2.5-Omni")
    return int(token_id)


def _eos_ids(config: Qwen2_5OmniThinkerConfig) -> list[int]:
    declared = config.get_text_config().eos_token_id
    if declared is None:
        return []
    return declared if isinstance(declared, list) else [declared]


__all__ = ["DEFAULT_INSTRUCTIONS", "ROLES", "ChatLayout", "SpecialIds"]
