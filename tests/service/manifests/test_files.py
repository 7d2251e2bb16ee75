from pathlib import Path

from service.manifests.files import ALERTS, METRICS, files, write

ROOT = Path(__file__).parents[3]


def test_files_in_the_repository_are_those_that_code_makes() -> None:
    stale = [
        str(path)
        for path, text in files(ROOT).items()
        if (ROOT / path).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: python -m service.manifests"


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    for path in (ALERTS, METRICS):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text((ROOT / path).read_text())
    changed = write(tmp_path)
    assert set(files(tmp_path)) - set(changed) <= {METRICS}
    assert write(tmp_path) == []
