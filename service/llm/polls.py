"""How likely an answer is to begin with one of several tokens. Knows nothing about who asks."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Encode = Callable[[str], list[int]]


class Polls:
    """Weighs choices by the logits of an answer's first token.

    Args:
        encode: Ids of a text.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._ids: dict[tuple[str, ...], list[int]] = {}

    def weigh(self, logits: Tensor, choices: Sequence[tuple[str, ...]]) -> tuple[float, ...]:
        """Give the share of each group of texts among all of them.

        Args:
            logits: `[V]`.
            choices: Texts of each group. Those that are not one token are ignored; where none of a
            group is, the first token of its first text stands for it.

        Returns:
            Probabilities that add up to 1.
        """
        # float64: what is unlikely stays above 0
        wide = logits.double()
        weights = [torch.logsumexp(wide[self._tokens(texts)], dim=0) for texts in choices]
        shares: list[float] = torch.stack(weights).softmax(dim=0).tolist()
        return tuple(shares)

    def _tokens(self, texts: tuple[str, ...]) -> list[int]:
        if texts not in self._ids:
            encoded = [self._encode(text) for text in texts]
            single = sorted({ids[0] for ids in encoded if len(ids) == 1})
            self._ids[texts] = single or encoded[0][:1]
        return self._ids[texts]


__all__ = ["Polls"]
