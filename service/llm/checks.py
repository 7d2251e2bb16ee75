"""What is wrong with a chunk or a question, before either costs anything."""

import math

from compressor.omni.chat import ChatLayout
from compressor.tokens import CompressedChunk, Modality, TokenCounts
from service.errors import BadRequest
from service.llm.context import ContextRules
from service.llm.engine import Question
from service.llm.sampling import check_sampling


def check_chunk(
    chunk: CompressedChunk, *, after: int, hidden_size: int, rules: ContextRules
) -> int:
    """Refuse a chunk that cannot enter a context.

    Args:
        chunk: The chunk.
        after: Number of the newest chunk before it.
        hidden_size: Width of the model.
        rules: What bounds the context.

    Returns:
        Its number.

    Raises:
        BadRequest: It is malformed, too large or out of order, or holds NaN or infinity.
    """
    unit, num_tokens = rules.unit(chunk), len(chunk.embeddings)
    index = unit.index
    shapes = {
        "embeddings": (chunk.embeddings, (num_tokens, hidden_size)),
        "positions": (chunk.positions, (3, num_tokens)),
        "modality": (chunk.modality, (num_tokens,)),
        "scores": (chunk.scores, (num_tokens,)),
    }
    for name, (tensor, shape) in shapes.items():
        if tensor.shape != shape:
            raise _refusal(index, f"has {name} {list(tensor.shape)} instead of {list(shape)}")
    num_audio = int((chunk.modality == Modality.AUDIO).sum())
    counts = TokenCounts(num_tokens - num_audio, num_audio)
    if counts != chunk.counts_kept:
        raise _refusal(index, f"has {counts}, but says {chunk.counts_kept}")
    if not chunk.embeddings.isfinite().all():
        raise _refusal(index, "has embeddings that are not finite")
    if index <= after:
        raise _refusal(index, f"comes after chunk {after}")
    if not rules.admits(unit):
        raise _refusal(index, f"has {counts}, over the context's {rules.max_tokens}")
    return index


def check_question(question: Question, chat: ChatLayout, *, max_tokens: int) -> list[int]:
    """Refuse a question that cannot be answered.

    Args:
        question: The question.
        chat: Makes tokens of it.
        max_tokens: Of question and answer together.

    Returns:
        The ids of its tail.

    Raises:
        BadRequest: It is malformed or too long; `field` names the part at fault.
    """
    try:
        check_sampling(question.sampling)
    except ValueError as exc:
        raise BadRequest(str(exc), field="sampling") from exc
    if question.window_s is not None and not question.window_s > 0:
        raise BadRequest(f"window_s must be above 0, got {question.window_s}", field="window_s")
    if question.at_s is not None and not 0 < question.at_s < math.inf:
        raise BadRequest(f"at_s must be above 0, got {question.at_s}", field="at_s")
    try:
        tail_ids = chat.tail([(message.role, message.content) for message in question.messages])
    except ValueError as exc:
        raise BadRequest(str(exc), field="messages") from exc
    num_tokens = len(tail_ids) + question.sampling.max_tokens
    if num_tokens > max_tokens:
        raise BadRequest(
            f"question and answer may take {max_tokens} tokens, not {num_tokens}", field="messages"
        )
    return tail_ids


def _refusal(index: int, reason: str) -> BadRequest:
    return BadRequest(f"chunk {index} {reason}", field="chunk")
