"""Thousands of requests against the whole running service: `make fuzz`, or

    python -m tests.fuzz [--requests 10000] [--seed 0]

Nothing may be a server error or undocumented, and afterwards every replica has what it had before:
tasks, file descriptors, KV pages, sessions. The last line is one JSON object; the exit status is 1
where something is wrong.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping

import requests
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from service.access.keyring import generate
from service.settings import (
    AdmissionSettings,
    AuthSettings,
    CompressorSettings,
    IngestSettings,
    LLMSettings,
    Settings,
    export_ray_environment,
)
from tests.fuzz.requests import Findings, Fuzzer

SETTLE_WITHIN_S = 60.0
# held after the first requests and not given back: connections of pools, open log files
SPARE_FDS, SPARE_TASKS = 8, 4
KINDS = {
    "process_open_fds": "fds",
    "omnisift_tasks": "tasks",
    "omnisift_kv_pages": "pages",
    "omnisift_sessions_active": "sessions",
}

Held = dict[tuple[str, str], float]
"""By kind and replica."""


def main() -> int:
    """Run, print what was found, and the JSON object last."""
    options = _parse()
    export_ray_environment()
    from service.app import running  # Ray reads the environment when it is imported

    key, kept = generate("fuzz", ["admin"])
    settings = Settings(
        port=0,
        log_level="ERROR",
        auth=AuthSettings(
            keys=SecretStr(json.dumps({"keys": [kept.entry()]})),
            max_sessions=1000,
            questions_per_minute=1_000_000,
        ),
        admission=AdmissionSettings(by_load=False, room_ratio=0.0),  # never full
        ingest=IngestSettings(max_sessions=1000, no_media_s=2.0),
        compressor=CompressorSettings(replicas=2),
        llm=LLMSettings(replicas=2, num_pages=512),
    )
    with running(settings, show_logs=False) as url:
        return _run(url, key, options)


def _run(url: str, key: str, options: argparse.Namespace) -> int:
    fuzzer = Fuzzer(url, key)
    began_s = time.monotonic()
    # the first requests open connections that stay
    fuzzer.run(4, seed=options.seed + 1)
    before = _settled(url, key)
    rounds = 0
    while fuzzer.findings.num_requests < options.requests:
        fuzzer.run(options.per_operation, seed=options.seed + 2 + rounds, on_operation=_progress)
        rounds += 1
    after = _settled(url, key, before)
    fuzzer.close()
    took_s = time.monotonic() - began_s
    return _report(fuzzer.findings, _leaks(before, after), _is_alive(url), took_s)


def _report(findings: Findings, leaks: Mapping[str, float], is_alive: bool, took_s: float) -> int:
    print()
    for failure in findings.failures.values():
        print(failure, end="\n\n")
    statuses = dict(sorted(findings.statuses.items()))
    print(f"{findings.num_requests} requests in {took_s:.0f} s, by status: {statuses}")
    summary = {
        "requests": findings.num_requests,
        "server_errors": findings.num_server_errors,
        "undocumented": len(findings.failures),
        **{f"leaked_{kind}": leaks[kind] for kind in KINDS.values()},
        "is_alive": is_alive,
    }
    print(json.dumps(summary))
    is_good = is_alive and not any(value for name, value in summary.items() if name not in GOOD)
    return 0 if is_good else 1


GOOD = {"requests", "is_alive"}


def _leaks(before: Held, after: Held) -> dict[str, float]:
    """What all replicas together hold more than before, beyond what pools may keep."""
    spare = {"fds": SPARE_FDS, "tasks": SPARE_TASKS}
    leaked = dict.fromkeys(KINDS.values(), 0.0)
    for (kind, replica), held in after.items():
        more = held - before.get((kind, replica), 0.0)
        leaked[kind] += max(0.0, more - spare.get(kind, 0))
    return leaked


def _settled(url: str, key: str, wanted: Held | None = None) -> Held:
    """What replicas hold, once nothing is held for a session, or no more than wanted."""
    deadline_s = time.monotonic() + SETTLE_WITHIN_S
    while True:
        held = _held(url, key)
        is_quiet = not any(n for (kind, _), n in held.items() if kind in ("pages", "sessions"))
        if wanted is not None:
            is_quiet = not any(_leaks(wanted, held).values())
        if is_quiet or time.monotonic() > deadline_s:
            return held
        time.sleep(1.0)


def _held(url: str, key: str) -> Held:
    answer = requests.get(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"}, timeout=20)
    held: Held = {}
    for family in text_string_to_metric_families(answer.text):
        kind = KINDS.get(family.name)
        for sample in family.samples if kind else ():
            if sample.labels.get("state") == "free":
                continue
            assert kind is not None
            place = (kind, sample.labels["replica"])
            held[place] = held.get(place, 0.0) + sample.value
    return held


def _is_alive(url: str) -> bool:
    return requests.get(f"{url}/readyz", timeout=20).status_code == 200


def _progress(label: str, findings: Findings) -> None:
    print(f"\r{findings.num_requests:6d} requests, {label:60}", end="", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--per-operation", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
