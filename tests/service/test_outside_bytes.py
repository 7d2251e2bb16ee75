"""Bytes from outside are never executed: no module of ours unpickles, and readers refuse pickles.

What Ray itself sends between its processes is pickled; SECURITY.md says who can reach that.
"""

import ast
import pickle
from pathlib import Path

import pytest

from service.access.keyring import Keyring
from service.access.signing import Signer
from service.errors import ServiceError
from service.sessions import codec, fields
from service.sessions.record import SessionId

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path for name in ("service", "clients", "compressor") for path in (ROOT / name).rglob("*.py")
)
EXECUTING = {
    "pickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
}
CALLS = {"torch.load", "np.load", "numpy.load", "yaml.load", "yaml.unsafe_load", "eval", "exec"}


def names(tree: ast.AST) -> set[str]:
    """Top names of what a module imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for dotted in found for name in dotted.split(".")}


def dangerous_calls(tree: ast.AST) -> list[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        text
        for call in calls
        if (text := ast.unparse(call.func)) in CALLS
        and not any(
            keyword.arg in ("allow_pickle", "weights_only")
            and ast.unparse(keyword.value) == ("False" if keyword.arg == "allow_pickle" else "True")
            for keyword in call.keywords
        )
    ]


def test_no_module_imports_what_executes_data_or_calls_what_does() -> None:
    assert len(MODULES) > 150
    for path in MODULES:
        tree = ast.parse(path.read_text())
        assert not names(tree) & EXECUTING, path
        assert not dangerous_calls(tree), path


@pytest.mark.parametrize("code", ["import pickle", "from torch import load\nimport marshal as m"])
def test_scan_finds_what_it_looks_for(code: str) -> None:
    assert names(ast.parse(code)) & EXECUTING
    assert dangerous_calls(ast.parse("torch.load(path)\nnp.load(p, allow_pickle=True)"))
    assert not dangerous_calls(ast.parse("np.load(p, allow_pickle=False)"))


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_pickle_where_stored_bytes_are_expected_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        trap = pickle.dumps(Trap(mark), protocol)
        text = trap.decode("latin-1")
        for read in (
            lambda trap=trap: codec.decode_record(trap),
            lambda trap=trap: codec.decode_record(trap * 50),
            lambda trap=trap: fields.decode_turn(trap),
            lambda trap=trap: fields.decode_event(SessionId("s"), trap),
            lambda trap=trap: fields.decode_session(SessionId("s"), {b"config": trap}, now_ms=0),
            lambda text=text: Keyring.parse(text),
            lambda text=text: Signer(b"s" * 32).read("session", text, now_s=0.0),
        ):
            with pytest.raises((ServiceError, ValueError)):
                read()

    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))  # the trap works
    assert mark.exists()
