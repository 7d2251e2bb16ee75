"""`omnisift ask`. Knows nothing about options or exit codes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clients.cli.console import Console
from clients.cli.render import answer_summary, file_answer_summary
from clients.sdk import Answer, Client, FileAnswer
from clients.sdk.attachments import AskedFile
from clients.sdk.calls import AskOptions, FileOptions
from clients.sdk.codec import encode


@dataclass(frozen=True, slots=True)
class Showing:
    """How an answer is shown.

    Attributes:
        is_streamed: As it comes, not whole.
        is_json: As JSON, not as text.
    """

    console: Console
    is_streamed: bool
    is_json: bool


def ask(
    client: Client, showing: Showing, session_id: str, question: str, options: AskOptions
) -> None:
    """Ask about a session and show the answer."""
    if showing.is_streamed:
        _show_pieces(showing, client.ask_stream(session_id, question, **options))
    else:
        _show(showing, client.ask(session_id, question, **options))


def ask_about(
    client: Client,
    showing: Showing,
    files: Sequence[AskedFile],
    question: str,
    options: FileOptions,
) -> None:
    """Ask about files and show the answer."""
    if showing.is_streamed:
        _show_pieces(showing, client.ask_about_stream(files, question, **options))
    else:
        _show(showing, client.ask_about(files, question, **options))


def _show_pieces(showing: Showing, items: Iterator[str | Answer | FileAnswer]) -> None:
    console = showing.console
    for item in items:
        if not isinstance(item, str):
            if showing.is_json:
                console.json({"type": "answer", **encode(item)})
            else:
                console.result()
                console.note(_summary(item))
        elif showing.is_json:
            console.json({"type": "token", "text": item})
        else:
            console.result(item, end="")


def _show(showing: Showing, answer: Answer | FileAnswer) -> None:
    if showing.is_json:
        showing.console.json(encode(answer))
        return
    showing.console.result(answer.answer)
    showing.console.note(_summary(answer))


def _summary(answer: Answer | FileAnswer) -> str:
    return answer_summary(answer) if isinstance(answer, Answer) else file_answer_summary(answer)


__all__ = ["Showing", "ask", "ask_about"]
