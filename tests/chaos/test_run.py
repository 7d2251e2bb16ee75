"""A short form of `make chaos`: every kind of process is killed once under live streams."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.redis, pytest.mark.webrtc]


def test_nothing_is_lost_when_each_part_is_killed_once() -> None:
    # a process of its own: this one may have a cluster already
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--kills", "6", "--streams", "2", "--seed", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    assert found["chunks_lost"] == 0, done.stdout
    assert found["chunks_told_twice"] == 0, done.stdout
    assert found["not_recovered"] == 0, done.stdout
    assert found["wrong_answers"] == 0, done.stdout
    assert found["faults"] == 6
    assert done.returncode == 0
