from service.api.chat_schemas import ChatCompletionRequest


def test_openai_request_ignores_fields_it_does_not_know() -> None:
    body = {"session_id": "s", "messages": [{"role": "user", "content": "?"}], "user": "me"}

    assert ChatCompletionRequest.model_validate(body).session_id == "s"
