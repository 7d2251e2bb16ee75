"""The text model with its weights as int8, against the same with dense ones: time and memory.

    python -m benchmarks.int8 [--dtype bfloat16] [--device cpu] [--layers 1]

Layers in the sizes of Qwen2.5-Omni-7B with random weights, on which neither depends; the rest of a
model costs the same either way. Rows are the tokens of one forward: one answer that is being
written is one row. Both run in turn. The last line is JSON.
"""

import argparse
import copy
import json
from collections.abc import Sequence
from functools import partial

import torch

from benchmarks.hardware import measure_hardware
from benchmarks.prefill import build_layers, positions_of, seven_b_config
from benchmarks.timing import Repeats, time_in_turn
from compressor.omni.int8 import held_bytes, to_int8

ROWS = (1, 4, 16, 64, 512)


@torch.inference_mode()
def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line each, and the JSON object last."""
    options = _parse(arguments)
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    hardware = measure_hardware(device, dtype).name
    dense = build_layers(seven_b_config(), options.layers, device, dtype)
    int8 = copy.deepcopy(dense)
    to_int8(int8)
    found: dict[str, float] = {"memory_ratio": held_bytes(int8) / held_bytes(dense)}
    print(f"{hardware}, {options.dtype}; memory {found['memory_ratio']:.3f} of the dense layers'")
    for rows in ROWS:
        inputs = torch.randn(1, rows, dense.config.hidden_size, device=device, dtype=dtype)
        calls = {
            name: partial(
                model, inputs_embeds=inputs, position_ids=positions_of(inputs), use_cache=False
            )
            for name, model in (("dense", dense), ("int8", int8))
        }
        times = time_in_turn(calls, device, Repeats(budget_s=5.0))
        ms = {name: 1e3 * timing.median_s for name, timing in times.items()}
        found[f"speedup_{rows}"] = times["int8"].speedup_over(times["dense"])
        print(
            f"{rows:4d} rows: dense {ms['dense']:8.2f} ms, int8 {ms['int8']:8.2f} ms, "
            f"{found[f'speedup_{rows}']:.2f} times as fast"
        )
    rounded = {name: round(value, 3) for name, value in found.items()}
    print(
        json.dumps({"benchmark": "int8", "hardware": hardware, "dtype": options.dtype, **rounded})
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.int8", description=__doc__)
    is_gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if is_gpu else "cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--layers", type=int, default=1, help="that are timed")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
