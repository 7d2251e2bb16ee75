"""Checks of this machine: ports, memory, codecs, GPU, Ray. Opens sockets, and closes them."""

import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import av
import torch

from service.doctor.finding import Finding

# what `serve` takes from publishers, and from media files the commonest
DECODERS = ("h264", "vp8", "opus", "aac")
PROCESS_BYTES = 440 << 20  # a replica or a spare with its libraries; docs/settings.md
SHARED_MEMORY = Path("/dev/shm")
SHARED_MEMORY_BYTES = 512 << 20
NUM_PORTS_PER_PEER = 4  # one for each address of the machine


def check_http_port(host: str, port: int) -> Finding:
    """Whether the service can listen where it should."""
    if port == 0:
        return Finding("ok", "HTTP port", "any free one")
    try:
        with socket.create_server((host, port), reuse_port=False):
            pass
    except OSError as exc:
        advice = "stop what listens there (ss -ltnp), or set OMNISIFT_PORT or OMNISIFT_HOST"
        return Finding("fail", "HTTP port", f"{host}:{port}: {exc.strerror or exc}", advice)
    return Finding("ok", "HTTP port", f"{host}:{port} is free")


def check_udp_ports(
    ports: tuple[int, int] | None,
    max_sessions: int,
    is_free: Callable[[int], bool] | None = None,
) -> Finding:
    """Whether there are media ports for so many sessions.

    Args:
        ports: First and last; None: any.
        max_sessions: Of an ingest replica.
        is_free: Tells of a port; binding it, where this is not given.
    """
    if ports is None:
        return Finding("ok", "UDP ports", "any (a firewall wants OMNISIFT_INGEST__UDP_PORTS)")
    low, high = ports
    if not 0 < low <= high < 1 << 16:
        advice = "set OMNISIFT_INGEST__UDP_PORTS to [first,last] within 1 to 65535"
        return Finding("fail", "UDP ports", f"{low} to {high} is no range", advice)
    num_free = sum(map(is_free or _is_free, range(low, high + 1)))
    told = f"{num_free} of {high - low + 1} in {low}-{high} are free"
    if num_free < max_sessions:
        advice = "widen OMNISIFT_INGEST__UDP_PORTS, or lower OMNISIFT_INGEST__MAX_SESSIONS"
        return Finding("fail", "UDP ports", f"{told}, for {max_sessions} sessions", advice)
    if num_free < NUM_PORTS_PER_PEER * max_sessions:
        advice = "a session takes a port for each address of the machine: widen the range"
        return Finding("warn", "UDP ports", f"{told}, for {max_sessions} sessions", advice)
    return Finding("ok", "UDP ports", told)


def check_memory(
    num_processes: int, model_bytes: int, available_bytes: int | None = None
) -> Finding:
    """Whether replicas, spares, weights and KV caches fit.

    Args:
        num_processes: Replicas and spares on this machine.
        model_bytes: Weights and KV caches in main memory; 0 where they are on a GPU.
        available_bytes: Memory that is free; None: as /proc/meminfo says.
    """
    available = _available_bytes() if available_bytes is None else available_bytes
    needed = num_processes * PROCESS_BYTES + model_bytes
    told = f"{_gb(available)} available, about {_gb(needed)} needed"
    if available < needed:
        advice = "fewer replicas or OMNISIFT_SPARES, or a smaller OMNISIFT_LLM__NUM_PAGES"
        return Finding("warn", "memory", told, advice)
    return Finding("ok", "memory", told)


def check_gpu_memory(
    replicas_bytes: Sequence[int], available_bytes: Sequence[int] | None = None
) -> Finding:
    """Whether weights and KV caches fit on the GPUs of this machine; a replica is on one of them.

    Args:
        replicas_bytes: What each replica of a model's part holds.
        available_bytes: Memory that is free, by GPU; None: as the GPUs say.
    """
    available = _available_gpu_bytes() if available_bytes is None else available_bytes
    each = ", ".join(map(_gb, sorted(replicas_bytes, reverse=True)))
    told = f"{', '.join(map(_gb, available))} available by GPU, replicas take {each}"
    if max(replicas_bytes) > max(available) or sum(replicas_bytes) > sum(available):
        advice = (
            "a smaller OMNISIFT_LLM__NUM_PAGES, OMNISIFT_DTYPE=bfloat16, "
            "OMNISIFT_LLM__INT8_WEIGHTS=true, or replicas on other machines"
        )
        return Finding("warn", "GPU memory", told, advice)
    return Finding("ok", "GPU memory", told)


def check_codecs(names: Sequence[str] = DECODERS) -> Finding:
    """Whether PyAV decodes what publishers send."""
    missing = [name for name in names if not _has_decoder(name)]
    if missing:
        advice = "install PyAV's own wheel: pip install --force-reinstall --only-binary av av"
        return Finding(
            "fail", "codecs", f"PyAV {av.__version__} lacks {', '.join(missing)}", advice
        )
    return Finding("ok", "codecs", f"PyAV {av.__version__} decodes {', '.join(names)}")


def check_device(device: str) -> Finding:
    """Whether torch has the device."""
    if not device.startswith("cuda"):
        return Finding("ok", "device", device)
    if not torch.cuda.is_available():
        advice = "check nvidia-smi and that torch is a CUDA build, or set OMNISIFT_DEVICE=cpu"
        return Finding("fail", "device", f"{device}: torch {torch.__version__} sees no GPU", advice)
    return Finding("ok", "device", f"{device}: {torch.cuda.get_device_name()}")


def check_attention(device: str, name: str, missing: Sequence[str] | None = None) -> Finding:
    """Whether the LLM's attention can be had on the device.

    Args:
        device: Of the model.
        name: `OMNISIFT_LLM__ATTENTION`.
        missing: What Triton lacks here; None: looked for.
    """
    if not device.startswith("cuda"):
        if name != "triton":
            return Finding("ok", "attention", "gather")
        advice = "set OMNISIFT_LLM__ATTENTION=auto"
        return Finding("fail", "attention", f"Triton's needs CUDA, the device is {device}", advice)
    if name == "gather":
        return Finding("ok", "attention", name)
    missing = list(_missing_of_triton()) if missing is None else missing
    if missing:
        advice = "torch's CUDA build brings triton; a compiler: apt-get install gcc libc6-dev"
        told = f"Triton's kernels cannot be built without {' and '.join(missing)}"
        return Finding("warn" if name == "auto" else "fail", "attention", told, advice)
    return Finding("ok", "attention", f"{name}: Triton is tried when a replica starts")


def check_ray() -> Iterator[Finding]:
    """Whether Ray is installed and has shared memory to work in; starts nothing."""
    try:
        yield Finding("ok", "Ray", f"version {version('ray')}")
    except PackageNotFoundError:
        yield Finding("fail", "Ray", "is not installed", "pip install -c constraints.txt .")
        return
    if SHARED_MEMORY.exists():
        yield shared_memory(_free_bytes(SHARED_MEMORY))


def shared_memory(free_bytes: int) -> Finding:
    told = f"{free_bytes / 1e6:.0f} MB free in {SHARED_MEMORY}"
    if free_bytes < SHARED_MEMORY_BYTES:
        advice = "in a container: --shm-size=1g; Ray else works on disk, which is slow"
        return Finding("warn", "shared mem", told, advice)
    return Finding("ok", "shared mem", told)


def _missing_of_triton() -> Iterator[str]:
    if find_spec("triton") is None:
        yield "triton"
    if not any(map(shutil.which, ("gcc", "clang"))):
        yield "a C compiler"


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _has_decoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "r")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _available_gpu_bytes() -> list[int]:
    return [torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())]


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise OSError("/proc/meminfo does not tell what is available")


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


__all__ = [
    "check_attention",
    "check_codecs",
    "check_device",
    "check_gpu_memory",
    "check_http_port",
    "check_memory",
    "check_ray",
    "check_udp_ports",
    "shared_memory",
]
