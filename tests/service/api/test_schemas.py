import pytest
from pydantic import BaseModel, ValidationError

from compressor import PROFILE_NAMES
from service.api import schemas, views
from service.api.chat_schemas import ChatCompletionRequest


def test_requests_refuse_fields_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="windows_s"):
        schemas.Query.model_validate({"question": "?", "windows_s": 3})


@pytest.mark.parametrize(
    ("request_type", "body"),
    [
        (schemas.Query, {"question": "?"}),
        (
            ChatCompletionRequest,
            {"session_id": "s", "messages": [{"role": "user", "content": "?"}]},
        ),
    ],
)
def test_answer_has_four_stop_strings_at_most(
    request_type: type[BaseModel], body: dict[str, object]
) -> None:
    request_type.model_validate({**body, "stop": list("abcd")})

    with pytest.raises(ValidationError, match="at most 4"):
        request_type.model_validate({**body, "stop": list("abcde")})


def test_tokens_travel_under_the_name_in() -> None:
    tokens = schemas.ModalityTokens(in_=5, kept=2)

    assert views.wire(tokens) == {"in": 5, "kept": 2}
    assert schemas.ModalityTokens.model_validate({"in": 5, "kept": 2}) == tokens


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_every_profile_can_be_chosen(profile: str) -> None:
    assert schemas.CreateSession.model_validate({"profile": profile}).profile == profile
