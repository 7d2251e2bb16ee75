"""Fields of OpenAI's that clients send and this service has no use for. Pure.

Many clients send every field they know, with the value that asks for nothing. Those are taken, and
so is what concerns OpenAI's own platform. What asks for something that is not offered is refused,
or the answer would look as if it had been obeyed. Fields that OpenAI does not have are ignored.
"""

from collections.abc import Mapping
from typing import Any, Final

from service.errors import BadRequest

# what each field may say beside null
NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "store": (False,),
}


def check_neutral(fields: Mapping[str, Any]) -> None:
    """Raise `BadRequest`, naming the field, if one asks for what is not offered."""
    for name, value in fields.items():
        allowed = NEUTRAL.get(name)
        if allowed is None or value is None or value in allowed:
            continue
        instead = f"; leave it out or send {allowed[0]!r}" if allowed else "; leave it out"
        raise BadRequest(f"{name} is not supported here{instead}", field=name)


__all__ = ["check_neutral"]
