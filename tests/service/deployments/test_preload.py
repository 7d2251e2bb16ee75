import os
import sys
import threading
from pathlib import Path

import pytest

from service.deployments import preload


def test_modules_are_loaded_behind_other_work_and_what_runs_then_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "import os, threading\nnice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())"
    (tmp_path / "loaded_late.py").write_text(lines)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(preload, "MODULES", ("loaded_late",))
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    preload.load()

    assert sys.modules["loaded_late"].nice == min(own + preload.NICE, 19)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
