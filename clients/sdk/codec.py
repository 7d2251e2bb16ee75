"""Dataclasses from JSON and back, by their type hints. Knows no class in particular.

Reading is lenient where a newer service may differ (unknown fields are ignored, a missing field
takes its default, or None where None is allowed) and strict where the caller would be misled.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from clients.sdk.errors import MalformedAnswer

T = TypeVar("T")


def decode(kind: type[T], value: object) -> T:
    """Read a dataclass from decoded JSON.

    Args:
        kind: A dataclass of scalars, dataclasses, `tuple`s, string-keyed `Mapping`s and options.
            A field's JSON name is its own, or `metadata["json"]`; None keeps it off the wire.
        value: What `json.loads` gave.

    Raises:
        MalformedAnswer: A field is missing or of another type; the message names it.
    """
    result: T = _decode(kind, value, kind.__name__)
    return result


def encode(value: object) -> Any:
    """Turn dataclasses, however nested, into what `json.dumps` takes; the inverse of `decode`."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: encode(getattr(value, field.name)) for field, name in _wire_fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def _decode(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, UnionType):
        return _decode_option(hint, value, where)
    if origin is tuple:
        return _decode_tuple(get_args(hint), value, where)
    if origin is not None and issubclass(origin, Mapping):
        return _decode_mapping(get_args(hint)[1], value, where)
    if is_dataclass(hint):
        return _decode_fields(hint, value, where)
    return _decode_scalar(hint, value, where)


def _decode_option(hint: Any, value: Any, where: str) -> Any:
    (some,) = (arg for arg in get_args(hint) if arg is not NoneType)
    return None if value is None else _decode(some, value, where)


def _decode_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _mismatch("a list", value, where)
    hints = [args[0]] * len(value) if args[-1] is ... else list(args)
    if len(hints) != len(value):
        raise _mismatch(f"a list of {len(hints)}", value, where)
    return tuple(
        _decode(hint, item, f"{where}[{index}]")
        for index, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _decode_mapping(hint: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch("an object", value, where)
    return {str(key): _decode(hint, item, f"{where}.{key}") for key, item in value.items()}


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch("an object", value, where)
    hints = _hints(kind)
    given = {}
    for field, name in _wire_fields(kind):
        hint = hints[field.name]
        if name in value:
            given[field.name] = _decode(hint, value[name], f"{where}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            if NoneType not in get_args(hint):
                raise MalformedAnswer(f"{where}.{name} is missing")
            given[field.name] = None
    return kind(**given)


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise _mismatch(hint.__name__, value, where)
    return value


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _wire_fields(kind: Any) -> list[tuple[Field[Any], str]]:
    named = [(field, field.metadata.get("json", field.name)) for field in fields(kind)]
    return [(field, name) for field, name in named if name is not None]


def _mismatch(expected: str, value: object, where: str) -> MalformedAnswer:
    return MalformedAnswer(f"{where} is not {expected}: {str(value)[:80]!r}")
