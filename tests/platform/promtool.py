"""Prometheus' own checks."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.platform.kustomize import ROOT


def promtool(*arguments: str, stdin: str = "", cwd: Path = ROOT) -> None:
    """Run promtool; fails with what it says unless it is content."""
    program = shutil.which("promtool") or str(Path(sys.executable).with_name("promtool"))
    assert Path(program).exists(), "promtool is not installed: make system"
    done = subprocess.run(
        [program, *arguments], input=stdin, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
