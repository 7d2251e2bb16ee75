import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.cli.conftest import Run

SCRIPT = Path(sys.executable).parent / "omnisift"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_script_for_a_shell_names_the_program(run: Run, shell: str) -> None:
    ran = run("completion", shell)

    assert ran.code == 0
    assert "omnisift" in ran.out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("omnisift se", ["sessions"]), ("omnisift publish --syn", ["--synthetic"])],
)
def test_shell_is_answered(typed: str, offered: list[str], tmp_path: Path) -> None:
    # as bash asks: by environment, the answer through a file
    answer = tmp_path / "answer"
    subprocess.run(
        [str(SCRIPT)],
        env={
            **os.environ,
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
            "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "COMP_LINE": typed,
            "COMP_POINT": str(len(typed)),
        },
        check=True,
        timeout=30,
    )

    assert answer.read_text().split() == offered
