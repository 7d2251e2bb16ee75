"""What `/openapi.json` says besides what FastAPI finds: the shape of every error. Pure."""

from typing import Any

from service.api.errors import OPENAI_PATHS
from service.api.schemas import ErrorResponse, OpenAIErrorResponse

METHODS = ("get", "put", "post", "delete", "patch")
FASTAPI_SCHEMAS = ("HTTPValidationError", "ValidationError")
REFERENCE = "#/components/schemas/{model}"


def document_errors(spec: dict[str, Any]) -> dict[str, Any]:
    """Give every operation a default response: whatever it refuses, it refuses in this shape.

    Which errors there are, docs/api.md lists; most of them any route can answer.

    Args:
        spec: What FastAPI generated; changed in place.

    Returns:
        The same document.
    """
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    for model in (ErrorResponse, OpenAIErrorResponse):
        fields = model.model_json_schema(ref_template=REFERENCE)
        schemas |= fields.pop("$defs", {}) | {model.__name__: fields}
    for path, item in spec["paths"].items():
        for operation in (item[method] for method in METHODS if method in item):
            _complete(path, operation["responses"])
    for name in FASTAPI_SCHEMAS:  # its own shape of a refusal, which `service.api.errors` replaces
        schemas.pop(name, None)
    return spec


def _complete(path: str, responses: dict[str, Any]) -> None:
    if responses.get("422", {}).get("description") == "Validation Error":
        del responses["422"]
    model = OpenAIErrorResponse if path.startswith(OPENAI_PATHS) else ErrorResponse
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    content = {"application/json": {"schema": schema}}
    responses.setdefault("default", {"description": "it was refused", "content": content})


__all__ = ["document_errors"]
