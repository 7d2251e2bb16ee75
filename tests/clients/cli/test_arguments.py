import argparse
from pathlib import Path

import pytest

from clients.cli.arguments import build_parser
from clients.cli.environment import Environment
from clients.cli.exits import MEANINGS

PARSER = build_parser(Environment("http://env:1", "env-key"))


@pytest.mark.parametrize(
    ("argv", "url", "key"),
    [
        ("sessions", "http://env:1", "env-key"),
        ("--url http://a sessions", "http://a", "env-key"),
        ("sessions --url http://a", "http://a", "env-key"),
        ("--url http://a sessions --url http://b --api-key k", "http://b", "k"),
    ],
)
def test_connection_is_given_before_or_after_the_command(argv: str, url: str, key: str) -> None:
    options = PARSER.parse_args(argv.split())

    assert (options.url, options.api_key) == (url, key)


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "dance",
        "publish",
        "publish a.mp4 --synthetic",
        "publish --camera --synthetic",
        "publish --synthetic --duration 0",
        "publish --synthetic --duration inf",
        "publish --synthetic --duration soon",
        "publish --synthetic --profile tiny",
        "ask s0 what --window -1",
        "sessions dance",
    ],
)
def test_wrong_usage_ends_with_code_2(argv: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        PARSER.parse_args(argv.split())

    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "device"),
    [("publish --camera", "/dev/video0"), ("publish --camera /dev/video2", "/dev/video2")],
)
def test_camera_may_be_named(argv: str, device: str) -> None:
    assert PARSER.parse_args(argv.split()).camera == device


def test_stream_is_undecided_unless_said() -> None:
    said = [
        PARSER.parse_args(f"ask s0 what {flag}".split()).stream
        for flag in ("", "--stream", "--no-stream")
    ]

    assert said == [None, True, False]


def test_help_names_the_defaults_and_every_exit_code_but_no_key() -> None:
    text = PARSER.format_help()

    assert "http://env:1" in text
    assert "env-key" not in text
    assert all(meaning in text for meaning in MEANINGS.values())


def test_every_command_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    (commands,) = (a for a in PARSER._actions if isinstance(a, argparse._SubParsersAction))

    assert [name for name in commands.choices if f"`omnisift {name}" not in text] == []
