"""transformers' own way: `generate` on the embeddings of a whole context."""

import statistics
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from benchmarks.hardware import synchronize, timer_of
from benchmarks.models import Models
from service.clock import Clock


@dataclass(slots=True)
class _Stamps(StoppingCriteria):
    """Notes when each token has come; stops nothing."""

    timer: Clock
    times_s: list[float] = field(default_factory=list)

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        del scores
        synchronize(input_ids.device)
        self.times_s.append(self.timer())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class Stock:
    """The stock thinker, which prefills a context again for every question.

    In its favour, logits are computed of the last token only; left alone, it computes those of the
    whole context, which for 7B and 16 contexts of a minute would be 21 GB.

    Args:
        models: Whose thinker.
        num_runs: How often each time is taken; the median counts.
    """

    def __init__(self, models: Models, num_runs: int) -> None:
        self._thinker: Any = models.stock()
        self._thinker.lm_head.register_forward_pre_hook(lambda _, inputs: (inputs[0][:, -1:],))
        self._num_runs = num_runs

    def ttft_s(self, num_tokens: int) -> float:
        """Time to prefill so many tokens and draw the first."""
        return statistics.median(
            self._token_times_s(num_tokens, 1, 1)[0] for _ in range(self._num_runs)
        )

    def decode_tokens_per_s(self, num_tokens: int, batch: int, num_new: int) -> float:
        """Tokens per second of so many answers at once, each behind its own context."""
        times_s = self._token_times_s(num_tokens, num_new, batch)
        return batch * (num_new - 1) / (times_s[-1] - times_s[0])

    def _token_times_s(self, num_tokens: int, num_new: int, batch: int) -> list[float]:
        hidden_size = self._thinker.config.get_text_config().hidden_size
        like = self._thinker.lm_head.weight
        embeds = like.new_empty(batch, num_tokens, hidden_size).normal_()
        mask = torch.ones(batch, num_tokens, dtype=torch.long, device=like.device)
        stamps = _Stamps(timer_of(like.device))
        synchronize(like.device)
        began_s = stamps.timer()
        with torch.inference_mode():
            self._thinker.generate(
                inputs_embeds=embeds,
                attention_mask=mask,
                min_new_tokens=num_new,
                max_new_tokens=num_new,
                do_sample=False,
                stopping_criteria=StoppingCriteriaList([stamps]),
            )
        return [at_s - began_s for at_s in stamps.times_s]


__all__ = ["Stock"]
