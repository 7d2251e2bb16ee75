"""The tokenizer of the embedded model: byte-level BPE whose merges make its own words one token.

Any other text falls back to shorter pieces, in the end to bytes. Knows nothing about weights.
"""

from collections import Counter
from itertools import pairwise

from transformers import Qwen2Tokenizer

from compressor.omni.chat import DEFAULT_INSTRUCTIONS, ROLES
from compressor.omni.tokenizer import SPECIAL_IDS, SPECIAL_TOKENS, byte_symbols
from compressor.training.questions import vocabulary

_PADDED_TO = 32  # the embedding's rows are a multiple of this


def word_tokenizer() -> Qwen2Tokenizer:
    """Build the tokenizer; ids of bytes and special tokens are those of `byte_tokenizer`."""
    merges = learn_merges(_words())
    vocab = {symbol: byte for byte, symbol in byte_symbols().items()} | SPECIAL_IDS
    for left, right in merges:
        vocab.setdefault(left + right, len(vocab))
    extra = {role: name for role, name in SPECIAL_TOKENS.items() if role != "pad_token"}
    return Qwen2Tokenizer(
        vocab=vocab,
        merges=merges,  # type: ignore[arg-type]  # annotated as text, but pairs are what it takes
        eos_token=SPECIAL_TOKENS["im_end_token"],
        pad_token=SPECIAL_TOKENS["pad_token"],
        extra_special_tokens=extra,
    )


def vocab_size(tokenizer: Qwen2Tokenizer) -> int:
    """Rows of an embedding that fits the tokenizer."""
    return -(-len(tokenizer) // _PADDED_TO) * _PADDED_TO


def _words() -> list[tuple[str, ...]]:
    words = vocabulary()
    initial = [*words, *(word.lower() for word in words), *ROLES]
    inner = [*words, *DEFAULT_INSTRUCTIONS.rstrip(".").split()]
    texts = {*initial, *(f" {word}" for word in inner), DEFAULT_INSTRUCTIONS.split()[0]}
    symbol = byte_symbols()
    return sorted(tuple(symbol[byte] for byte in text.encode()) for text in texts)


def learn_merges(words: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Merge the most frequent pair, ties in alphabetic order, until every word is one token.

    Args:
        words: Distinct words as symbols.

    Returns:
        Merges by rank. Encoding replays them in this order, so it reaches the same tokens.

    Source: byte pair encoding, arXiv 1508.07909.
    """
    merges = []
    while counts := Counter(pair for word in words for pair in pairwise(word)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words = [_merge(word, best) for word in words]
    return merges


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for symbol in word:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return tuple(merged)


__all__ = ["learn_merges", "vocab_size", "word_tokenizer"]
