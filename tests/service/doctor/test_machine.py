import socket
from collections.abc import Callable

import pytest

from service.doctor import machine


def test_port_that_is_taken_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = machine.check_http_port("127.0.0.1", port)
    free = machine.check_http_port("127.0.0.1", port)

    assert (taken.level, free.level) == ("fail", "ok")
    assert "OMNISIFT_PORT" in taken.advice


@pytest.mark.parametrize(
    ("ports", "is_free", "level"),
    [
        (None, lambda _: True, "ok"),
        ((5000, 4000), lambda _: True, "fail"),
        ((40000, 40099), lambda _: True, "ok"),
        ((40000, 40019), lambda _: True, "warn"),
        ((40000, 40099), lambda port: port < 40010, "fail"),
    ],
)
def test_media_ports_must_do_for_the_sessions(
    ports: tuple[int, int] | None, is_free: Callable[[int], bool], level: str
) -> None:
    assert machine.check_udp_ports(ports, 16, is_free).level == level


def test_bound_udp_port_counts_as_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        port = other.getsockname()[1]

        assert "0 of 1" in machine.check_udp_ports((port, port), 1).message


def test_memory_is_counted_by_processes_and_cache() -> None:
    assert machine.check_memory(4, 0, available_bytes=2 << 30).level == "ok"
    assert machine.check_memory(4, 1 << 30, available_bytes=2 << 30).level == "warn"
    assert "GB available" in machine.check_memory(0, 0).message


def test_replicas_must_fit_on_gpus() -> None:
    replicas = [3 << 30, 15 << 30]
    assert machine.check_gpu_memory(replicas, [24 << 30]).level == "ok"
    assert machine.check_gpu_memory(replicas, [16 << 30, 4 << 30]).level == "ok"
    full = machine.check_gpu_memory(replicas, [16 << 30])
    assert full.level == "warn"
    assert full.message == "17.2 GB available by GPU, replicas take 16.1 GB, 3.2 GB"
    assert "OMNISIFT_LLM__INT8_WEIGHTS" in full.advice


def test_two_small_gpus_hold_no_replica_that_is_larger_than_one() -> None:
    found = machine.check_gpu_memory([15 << 30], [12 << 30, 12 << 30])

    assert found.level == "warn"
    assert found.message.startswith("12.9 GB, 12.9 GB available")


def test_codecs_are_those_of_pyav() -> None:
    assert machine.check_codecs().level == "ok"
    lacking = machine.check_codecs(("h264", "made_up"))
    assert (lacking.level, "made_up" in lacking.message) == ("fail", True)


def test_processor_needs_no_driver() -> None:
    assert machine.check_device("cpu").level == "ok"


@pytest.mark.parametrize(
    ("device", "name", "missing", "level"),
    [
        ("cpu", "auto", [], "ok"),
        ("cpu", "triton", [], "fail"),
        ("cuda", "auto", [], "ok"),
        ("cuda", "auto", ["a C compiler"], "warn"),
        ("cuda", "triton", ["triton"], "fail"),
        ("cuda:1", "gather", ["triton"], "ok"),
    ],
)
def test_attention_by_triton_needs_a_gpu_and_a_compiler(
    device: str, name: str, missing: list[str], level: str
) -> None:
    finding = machine.check_attention(device, name, missing)

    assert finding.level == level
    assert all(each in finding.message for each in missing if level != "ok")


def test_ray_is_installed_here() -> None:
    assert next(machine.check_ray()).level == "ok"


def test_small_shared_memory_is_told_with_what_to_do() -> None:
    assert machine.shared_memory(1 << 30).level == "ok"
    assert "--shm-size" in machine.shared_memory(64 << 20).advice
