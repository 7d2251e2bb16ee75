"""Units and the rules that bound them."""

from compressor.tokens import TokenCounts
from service.llm.context import ContextRules, Horizon
from service.llm.policy import Fifo, Policy
from service.llm.unit import Unit

IDS_PER_S = 25


def build_unit(index: int, video: int = 6, audio: int = 4) -> Unit:
    """A unit that holds all it came with."""
    counts = TokenCounts(video, audio)
    return Unit(index, counts, counts, index * 50, index * 2.0, index * 2.0 + 2.0, index * 50 + 50)


def build_rules(
    max_tokens: int = 400, *, max_positions: int = 32_768, policy: Policy | None = None
) -> ContextRules:
    """Rules of a context, by default whole units."""
    return ContextRules(max_tokens, Horizon(max_positions), IDS_PER_S, policy or Fifo())
