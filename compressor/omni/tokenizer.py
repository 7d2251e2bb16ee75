"""A tokenizer that needs no files: one token per byte, plus the special tokens of Qwen2.5-Omni."""

from transformers import Qwen2Tokenizer

NUM_BYTES = 256
SPECIAL_TOKENS = {
    "pad_token": "<|endoftext|>",
    "im_start_token": "<|im_start|>",
    "im_end_token": "<|im_end|>",
    "audio_token": "<|AUDIO|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
}
"""Name by role; the roles are those that transformers' Qwen2_5OmniProcessor asks for."""

SPECIAL_IDS = {name: NUM_BYTES + i for i, name in enumerate(SPECIAL_TOKENS.values())}


def byte_symbols() -> dict[int, str]:
    """Return the printable character by which byte-level BPE vocabularies write each byte.

    Printable Latin-1 stands for itself, the 68 other bytes for U+0100 onwards, in order.
    Source: the GPT-2 tokenizer.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(NUM_BYTES) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(NUM_BYTES + i) for i, byte in enumerate(others)
    }


def byte_tokenizer() -> Qwen2Tokenizer:
    """Build a byte-level BPE without merges: the id of a byte is its value, specials follow."""
    extra = {role: name for role, name in SPECIAL_TOKENS.items() if role != "pad_token"}
    return Qwen2Tokenizer(
        vocab={symbol: byte for byte, symbol in byte_symbols().items()} | SPECIAL_IDS,
        merges=[],
        eos_token=SPECIAL_TOKENS["im_end_token"],
        pad_token=SPECIAL_TOKENS["pad_token"],
        extra_special_tokens=extra,
    )


__all__ = ["NUM_BYTES", "SPECIAL_IDS", "SPECIAL_TOKENS", "byte_symbols", "byte_tokenizer"]
