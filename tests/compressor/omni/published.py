"""A small checkpoint written as the published ones are, by other means than ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from compressor.omni.geometry import Geometry, thinker_config
from compressor.omni.tiny import tiny_tensors
from compressor.omni.tokenizer import SPECIAL_IDS, byte_symbols

GEOMETRY = Geometry()
SHARD_BYTES = 1 << 20


def write_published(folder: Path, tensors: Mapping[str, Tensor] | None = None) -> Path:
    """Write a checkpoint in the layout of Qwen/Qwen2.5-Omni-7B.

    Shards are cut by size in the order of the names, so that one holds parts of several modules;
    the config spells rotary settings as `rope_scaling`; the tokenizer is vocab.json and merges.txt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(published_config()))
    _write_shards(folder, tensors or tiny_tensors(0, GEOMETRY))
    _write_tokenizer(folder)
    return folder


def published_config() -> dict[str, Any]:
    thinker = thinker_config(GEOMETRY).to_dict()
    text = thinker["text_config"]
    rope = text.pop("rope_parameters")
    text |= {
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {
            "mrope_section": rope["mrope_section"],
            "rope_type": "default",
            "type": "default",
        },
        "sliding_window": 32_768,
        "use_sliding_window": False,
        "torch_dtype": "bfloat16",
    }
    text.pop("layer_types")
    thinker["vision_config"].pop("rope_parameters")
    del thinker["compressor"], thinker["transformers_version"]
    thinker["compressor"] = {"selector_size": GEOMETRY.selector_size, "num_heads": 4}
    return {
        "architectures": ["Qwen2_5OmniModel"],
        "enable_audio_output": True,
        "enable_talker": True,
        "model_type": "qwen2_5_omni",
        "talker_config": {"model_type": "qwen2_5_omni_talker"},
        "thinker_config": thinker | {"torch_dtype": "bfloat16"},
        "token2wav_config": {"model_type": "qwen2_5_omni_token2wav"},
        "torch_dtype": "bfloat16",
        "transformers_version": "4.50.0.dev0",
    }


def _write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    shards: list[dict[str, Tensor]] = [{}]
    for name, tensor in sorted(tensors.items()):
        size = sum(one.nbytes for one in shards[-1].values())
        if size + tensor.nbytes > SHARD_BYTES and shards[-1]:
            shards.append({})
        shards[-1][name] = tensor
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, name)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _write_tokenizer(folder: Path) -> None:
    vocab = {symbol: byte for byte, symbol in byte_symbols().items()}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "added_tokens.json").write_text(json.dumps(SPECIAL_IDS))
    added = {
        str(token_id): {
            "content": name,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for name, token_id in SPECIAL_IDS.items()
    }
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": list(SPECIAL_IDS),
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
