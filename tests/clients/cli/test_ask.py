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
