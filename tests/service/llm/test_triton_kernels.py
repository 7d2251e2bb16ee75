"""The kernels compiled for GPUs that are not here: they compile, and fit."""

import subprocess
from pathlib import Path

import pytest
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel

from service.llm import triton_kernels as kernels
from service.llm.triton_attention import launch_of, padded_dim

SHARED_BYTES = 99 << 10  # that a program may have on sm_86 and sm_89; sm_80: 163 KiB, sm_90: 227
OMNI_7B, EMBEDDED = (28, 4, 128), (6, 2, 32)  # query heads, key heads, head dimension
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}
ARCHITECTURES = pytest.mark.parametrize("sm", [80, 90])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton.knobs.cache, "dir", str(tmp_path))


def build(
    kernel: triton.JITFunction,
    types: dict[str, str],
    constants: dict[str, int],
    sm: int,
    *,
    num_warps: int = 4,
    num_stages: int = 3,
) -> CompiledKernel:
    """Compile as a launch would, with all pointers and strides divisible by 16."""
    signature = types | dict.fromkeys(constants, "constexpr")
    assert list(signature) == kernel.arg_names
    aligned = [n for n, kind in enumerate(signature.values()) if kind[0] == "*" or kind == "i32"]
    attributes = {(n,): [["tt.divisibility", 16]] for n in aligned}
    return triton.compile(
        ASTSource(kernel, signature, constexprs=constants, attrs=attributes),
        target=GPUTarget("cuda", sm, 32),
        options={"num_warps": num_warps, "num_stages": num_stages},
    )


def build_attend(
    sizes: tuple[int, int, int], dtype: torch.dtype, tile_lines: int, sm: int
) -> CompiledKernel:
    num_heads, num_kv_heads, head_dim = sizes
    launch = launch_of(dtype, padded_dim(head_dim), tile_lines)
    pointers = dict.fromkeys(("query", "keys", "values", "out"), f"*{NAMES[dtype]}")
    pointers |= dict.fromkeys(("parts", "part_weights"), "*fp32")
    pointers |= dict.fromkeys(("tiles", "entries", "pages"), "*i32")
    strides = dict.fromkeys(("query_head_stride", "query_row_stride"), "i32")
    constants = {
        "GROUP": num_heads // num_kv_heads,
        "NUM_KV_HEADS": num_kv_heads,
        "PAGE_TOKENS": 16,
        "HEAD_DIM": head_dim,
        "BLOCK_DIM": padded_dim(head_dim),
        "BLOCK_LINES": tile_lines,
        "BLOCK_KEYS": launch.block_keys,
    }
    return build(
        kernels.attend,
        pointers | strides | {"scale": "fp32"},
        constants,
        sm,
        num_warps=launch.num_warps,
        num_stages=launch.num_stages,
    )


def spilled_bytes(kernel: CompiledKernel, folder: Path) -> int:
    """What ptxas could not keep in registers."""
    source = folder / "kernel.ptx"
    source.write_text(kernel.asm["ptx"])
    ptxas = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    target = kernel.asm["ptx"].split(".target ")[1].split()[0]
    command = [ptxas, "-v", f"-arch={target}", source, "-o", folder / "kernel.bin"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    return int(told.split(" bytes spill stores")[0].split()[-1])


@ARCHITECTURES
@pytest.mark.parametrize("tile_lines", [16, 64])
def test_attention_of_qwen2_5_omni_7b_fits(sm: int, tile_lines: int, tmp_path: Path) -> None:
    kernel = build_attend(OMNI_7B, torch.bfloat16, tile_lines, sm)

    assert kernel.asm["cubin"]
    assert kernel.metadata.shared <= SHARED_BYTES
    assert spilled_bytes(kernel, tmp_path) <= 64  # a few, outside the loop
    # tensor cores, and loads that run ahead
    assert ("wgmma" if (sm, tile_lines) == (90, 64) else "mma.sync") in kernel.asm["ptx"]
    assert "cp.async" in kernel.asm["ptx"]


@ARCHITECTURES
@pytest.mark.parametrize("tile_lines", [16, 64])
def test_attention_of_the_embedded_model_fits(sm: int, tile_lines: int) -> None:
    kernel = build_attend(EMBEDDED, torch.float32, tile_lines, sm)

    assert kernel.metadata.shared <= SHARED_BYTES
    # in float32 a product is one of float32, not of its first ten bits
    assert "tf32" not in kernel.asm["ptx"]


def test_float32_of_large_heads_fits() -> None:
    assert build_attend(OMNI_7B, torch.float32, 16, 80).metadata.shared <= SHARED_BYTES


@ARCHITECTURES
def test_small_kernels_compile(sm: int) -> None:
    strides = [f"{name}_{kind}_stride" for name in ("key", "value") for kind in ("head", "row")]
    pointers = dict.fromkeys(("key", "value", "keys", "values"), "*bf16") | {"slots": "*i32"}
    sizes = {"NUM_KV_HEADS": 4, "HEAD_DIM": 128, "BLOCK_HEADS": 4, "BLOCK_DIM": 128}
    write = build(kernels.write, pointers | dict.fromkeys(strides, "i32"), sizes, sm)
    pointers = dict.fromkeys(("parts", "part_weights"), "*fp32") | {"out": "*bf16"}
    sizes = {"NUM_HEADS": 28, "HEAD_DIM": 128, "BLOCK_DIM": 128}
    merge = build(kernels.merge, pointers | {"merges": "*i32"}, sizes, sm)

    assert write.asm["cubin"]
    assert merge.asm["cubin"]
