"""Token ids to text, one at a time. Knows nothing about when an answer ends."""

import codecs

from transformers import PreTrainedTokenizerBase

from compressor.omni.tokenizer import byte_symbols


class Detokenizer:
    """The text of one answer of a byte-level BPE, as its tokens arrive.

    A character may be spread over several tokens: its text comes with the last of them. Bytes that
    are no UTF-8 become U+FFFD, special tokens nothing. All text together equals
    `tokenizer.decode(ids, skip_special_tokens=True)`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._bytes = {symbol: byte for byte, symbol in byte_symbols().items()}
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token_id: int) -> str:
        """Return the text that this token completes, empty while a character is incomplete."""
        added = self._tokenizer.added_tokens_decoder.get(token_id)
        if added is not None:
            return "" if added.special else self._utf8.decode(added.content.encode())
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        return self._utf8.decode(bytes(self._bytes[symbol] for symbol in token))

    def flush(self) -> str:
        """Return what is left at the end: U+FFFD for an incomplete character, else nothing."""
        return self._utf8.decode(b"", final=True)


__all__ = ["Detokenizer"]
