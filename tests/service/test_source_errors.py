import inspect
import pickle

import pytest

import service.errors
import service.source_errors
from service.errors import ServiceError
from service.source_errors import (
    MediaUnreadable,
    RecordingDiffers,
    SourceDenied,
    SourceNotFound,
    SourceUnreachable,
)

EXAMPLES = [
    MediaUnreadable("it is empty"),
    RecordingDiffers({"model": ("big", "small")}),
    SourceNotFound("src_1"),
    SourceDenied("401"),
    SourceUnreachable("connection refused"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: e.code)
def test_error_survives_a_process_border(error: ServiceError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (str(copy), copy.details) == (str(error), error.details)


def test_codes_are_unique_among_all_errors() -> None:
    classes = [
        kind
        for module in (service.errors, service.source_errors)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, ServiceError) and kind.__module__ == module.__name__
    ]
    codes = [kind.code for kind in classes if "code" in vars(kind)]

    assert len(codes) == len(set(codes))


def test_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    assert service.source_errors.__doc__ is not None
    for error in EXAMPLES:
        rows = service.source_errors.__doc__.splitlines()
        row = next(line for line in rows if f" {type(error).__name__} " in line)
        assert f" {error.code} " in row
        assert f" {error.http_status} " in row
        assert (" yes" in row) == error.is_retryable
