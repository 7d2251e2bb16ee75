from pathlib import Path

from service.manifests.files import ALERTS, files, write

ROOT = Path(__file__).parents[3]


def test_files_in_the_repository_are_those_that_code_makes() -> None:
    stale = [
        str(path)
        for path, text in files(ROOT).items()
        if (ROOT / path).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: python -m service.manifests"


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    (tmp_path / ALERTS).parent.mkdir()
    (tmp_path / ALERTS).write_text((ROOT / ALERTS).read_text())
    assert len(write(tmp_path)) == len(files(tmp_path))
    assert write(tmp_path) == []
