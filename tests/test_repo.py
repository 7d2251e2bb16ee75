"""The repository keeps its own rules: sizes, mirrored tests, module docstrings, exports."""

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("compressor", "service", "clients", "benchmarks", "chaos", "website")
MODULES = sorted(p.relative_to(ROOT) for name in PACKAGES for p in (ROOT / name).rglob("*.py"))
TESTS = sorted(p.relative_to(ROOT) for p in (ROOT / "tests").rglob("*.py"))
NAMED = [path for path in MODULES if path.name not in ("__init__.py", "__main__.py")]
# adapters to Ray and scripts that only measure: covered by tests/integration and by their own runs
EDGES = {"deployments", "benchmarks"}
# parts of a run against the whole service, which is a test itself: tests/chaos/test_run.py
EDGES |= {"injection.py", "replicas.py", "stream.py"}
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ADAPTER_LINES = 100


@pytest.mark.parametrize("path", MODULES + TESTS, ids=str)
def test_module_is_small(path: Path) -> None:
    lines = len((ROOT / path).read_text().splitlines())

    assert lines <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_functions_are_small(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text())

    long = [
        f"{node.name} ({_num_lines(node)})"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _num_lines(node) > MAX_FUNCTION_LINES
    ]

    assert not long


@pytest.mark.parametrize("path", [p for p in MODULES if p.name != "__init__.py"], ids=str)
def test_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


@pytest.mark.parametrize("path", [p for p in NAMED if not EDGES & set(p.parts)], ids=str)
def test_module_has_a_mirrored_test(path: Path) -> None:
    assert (ROOT / "tests" / path.parent / f"test_{path.name}").exists()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_exports_exist(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text())
    exported = [
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    ]
    if not exported:
        return
    module = importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))

    assert [name for name in exported if not hasattr(module, name)] == []


def test_version_is_in_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def _num_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1
