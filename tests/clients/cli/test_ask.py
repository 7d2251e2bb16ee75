from pathlib import Path

import pytest

from tests.clients.cli.conftest import Run
from tests.clients.fake_service import RunningService


def test_answer_is_the_only_result(service: RunningService, run: Run) -> None:
    service.fake.add_chunk(service.fake.create())

    streamed = run("ask", "s0", "what is seen ?")
    whole = run("ask", "s0", "what is seen ?", "--no-stream")

    assert (streamed.code, streamed.out) == (0, "a red circle\n")
    assert (whole.code, whole.out) == (0, "a red circle\n")
    assert whole.err == streamed.err
    assert "first in 0.12 s" in whole.err
    asked = service.fake.bodies("POST", "/query")
    assert [body.get("stream", False) for body in asked] == [True, False]


def test_options_reach_the_service(service: RunningService, run: Run) -> None:
    service.fake.add_chunk(service.fake.create())

    run(
        "ask",
        "s0",
        "what ?",
        "--window",
        "4",
        "--max-tokens",
        "8",
        "--temperature",
        "0.5",
        "--seed",
        "7",
        "--json",
    )

    assert service.fake.bodies("POST", "/query") == [
        {"question": "what ?", "window_s": 4.0, "max_tokens": 8, "temperature": 0.5, "seed": 7}
    ]


def test_json_is_the_whole_answer_or_its_pieces(service: RunningService, run: Run) -> None:
    service.fake.add_chunk(service.fake.create())

    (whole,) = run("ask", "s0", "what ?", "--json").json
    *pieces, last = run("ask", "s0", "what ?", "--json", "--stream").json

    assert whole["answer"] == "a red circle"
    assert whole["usage"]["stream"]["video"] == {"in": 96, "kept": 24}
    assert [piece["text"] for piece in pieces] == ["a", " red", " circle"]
    assert last["type"] == "answer"


def test_question_before_the_first_chunk_is_told_what_to_do(
    service: RunningService, run: Run
) -> None:
    service.fake.create()

    ran = run("ask", "s0", "what ?")

    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith("omnisift: no media yet. Publish to it")
    assert ran.err.count("\n") == 1


def test_answer_that_breaks_off_is_an_error_on_its_own_line(
    service: RunningService, run: Run
) -> None:
    service.fake.words = ("a", "<fail>")
    service.fake.add_chunk(service.fake.create())

    ran = run("ask", "s0", "what ?")

    assert ran.code == 6
    assert ran.out == "a\n"
    assert ran.err == "omnisift: the engine died. Try again later\n"


def test_files_are_asked_about_in_their_order(
    service: RunningService, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "x.mp4", "y.wav"):
        Path(name).write_bytes(b"content")
    files = ["--image", "a.png", "--clip", "x.mp4", "--image", "b.png", "--sound", "y.wav"]

    streamed = run("ask", *files, "what differs ?", "--profile", "full")
    whole = run("ask", "what differs ?", *files, "--json")

    assert (streamed.code, streamed.out) == (0, "a red circle\n")
    assert "47 % of the files' 32 tokens kept" in streamed.err
    assert (whole.code, whole.json[0]["answer"]) == (0, "a red circle")
    first, second = service.fake.bodies("POST", "/completions")
    content = first["messages"][0]["content"]
    kinds = ["image_url", "video_url", "image_url", "input_audio", "text"]
    assert [part["type"] for part in content] == kinds
    assert (content, first["profile"]) == (second["messages"][0]["content"], "full")


def test_file_that_is_not_there_is_named(run: Run) -> None:
    ran = run("ask", "--image", "none.png", "what ?")

    assert (ran.code, ran.out) == (8, "")
    assert ran.err == "omnisift: none.png cannot be read: No such file or directory\n"


def test_words_may_stand_around_options(service: RunningService, run: Run) -> None:
    service.fake.add_chunk(service.fake.create())

    for argv in (["s0", "--at", "2", "what ?"], ["--at", "2", "s0", "what ?"]):
        assert run("ask", *argv).code == 0

    assert [body["at_s"] for body in service.fake.bodies("POST", "/query")] == [2.0, 2.0]
