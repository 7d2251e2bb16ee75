"""`omnisift ask`. Knows nothing about options or exit codes."""

from clients.cli.console import Console
from clients.cli.render import answer_summary
from clients.sdk import Answer, Client
from clients.sdk.calls import AskOptions
from clients.sdk.codec import encode


def ask(
    client: Client,
    console: Console,
    session_id: str,
    question: str,
    options: AskOptions,
    *,
    is_streamed: bool,
    is_json: bool,
) -> None:
    """Ask and show the answer, as it comes or whole, as text or as JSON."""
    if not is_streamed:
        _show(console, client.ask(session_id, question, **options), is_json=is_json)
        return
    for item in client.ask_stream(session_id, question, **options):
        if isinstance(item, Answer):
            if is_json:
                console.json({"type": "answer", **encode(item)})
            else:
                console.result()
                console.note(answer_summary(item))
        elif is_json:
            console.json({"type": "token", "text": item})
        else:
            console.result(item, end="")


def _show(console: Console, answer: Answer, *, is_json: bool) -> None:
    if is_json:
        console.json(encode(answer))
        return
    console.result(answer.answer)
    console.note(answer_summary(answer))
