"""Puts a text model, pages, attention and graphs together. The engine's parts meet here."""

from torch import nn
from transformers import PreTrainedModel

from service.llm.attention_choice import choose_attention
from service.llm.config import EngineConfig
from service.llm.forward import PackedForward, pool_for
from service.llm.gather_attention import GatherAttention


def build_forward(model: PreTrainedModel, head: nn.Module, config: EngineConfig) -> PackedForward:
    """Make the forward of an engine, with a page pool of its own beside the weights.

    Raises:
        ValueError: The attention that the config names cannot be had.
    """
    pool = pool_for(model, num_pages=config.num_pages, page_tokens=config.page_tokens)
    body = choose_attention(config.attention, pool, int(model.config.num_attention_heads))
    if body is GatherAttention or not config.cuda_graphs:
        return PackedForward(model, head, pool, body)
    # these import triton, which exists where that body was chosen
    from service.llm.decode_graphs import CudaCapture, DecodeGraphs
    from service.llm.triton_attention import TritonBody

    assert isinstance(body, TritonBody)
    graphs = DecodeGraphs(model, pool, body, CudaCapture(), config.max_questions)
    return PackedForward(model, head, pool, body, graphs)
