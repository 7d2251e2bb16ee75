"""Builds the engine's core around a model under test. Times nothing."""

import gc
import time

import torch
from torch import nn
from transformers import PreTrainedModel

from benchmarks.models import Models
from service.llm.assembly import build_forward
from service.llm.config import EngineConfig
from service.llm.context import Horizon
from service.llm.forward import pool_for
from service.llm.scheduler import Scheduler


def build_scheduler(
    models: Models, text: tuple[PreTrainedModel, nn.Linear], config: EngineConfig
) -> Scheduler:
    """Build a scheduler with a page pool of its own; its answers are as long as asked for.

    Args:
        models: Where layout and ids come from.
        text: The model and its head; schedulers that do not run at once may share them.
        config: Limits.
    """
    model, head = text
    chat = models.chat()
    chat.stop_ids = frozenset()
    return Scheduler(
        build_forward(model, head, config),
        chat,
        config,
        # no answer is read, so that streams may be longer than those the model was trained with
        horizon=Horizon(int(model.config.max_position_embeddings)),
        ids_per_s=int(models.thinker.position_id_per_seconds),
        now=time.perf_counter,
    )


def kv_token_bytes(model: PreTrainedModel) -> int:
    """Bytes of one token in the cache: keys and values in all layers."""
    pool = pool_for(model, num_pages=1, page_tokens=1)
    return int(pool.keys.nbytes + pool.values.nbytes)


def layer_weights(model: PreTrainedModel) -> int:
    """Weights that every token meets."""
    layers = model.layers
    assert isinstance(layers, nn.ModuleList)
    return sum(weight.numel() for weight in layers.parameters())


def free_bytes(device: torch.device) -> int:
    """Memory left on a CUDA device, what torch holds in reserve included."""
    gc.collect()
    torch.cuda.empty_cache()
    return int(torch.cuda.mem_get_info(device)[0])


__all__ = ["build_scheduler", "free_bytes", "kv_token_bytes", "layer_weights"]
