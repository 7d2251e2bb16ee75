from typing import Any

from service.api.document import document_errors


def test_every_operation_says_in_which_shape_it_refuses() -> None:
    validation: dict[str, Any] = {"422": {"description": "Validation Error"}}
    spec = {
        "paths": {
            "/v1/sessions": {"post": {"responses": {"201": {}, **validation}}},
            "/v1/chat/completions": {"post": {"responses": {"200": {}}}},
        }
    }

    document_errors(spec)

    ours = spec["paths"]["/v1/sessions"]["post"]["responses"]
    openais = spec["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert set(ours) == {"201", "default"}
    assert shape(ours["default"]) == "#/components/schemas/ErrorResponse"
    assert shape(openais["default"]) == "#/components/schemas/OpenAIErrorResponse"


def shape(response: dict[str, Any]) -> str:
    return str(response["content"]["application/json"]["schema"]["$ref"])
