"""The page of the HTTP API: an OpenAPI document as Markdown. Pure; knows no route by name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Spec = Mapping[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_INTRODUCTION = """\
# HTTP API

Made from the service's own document (`/openapi.json`, OpenAPI {openapi}), version {version}.
What the routes mean, and every error code: [API](../api.md).
"""


def page(document: Spec) -> str:
    """The Markdown of the page: routes by tag, then the schemas that they name.

    Args:
        document: An OpenAPI 3.1 document.
    """
    parts = [_INTRODUCTION.format(openapi=document["openapi"], version=document["info"]["version"])]
    for tag, operations in _by_tag(document).items():
        parts.append(f"## {tag.capitalize()}\n")
        parts += [_operation(*operation) for operation in operations]
    parts.append("## Schemas\n")
    schemas = document.get("components", {}).get("schemas", {})
    parts += [_schema(name, schemas[name]) for name in sorted(schemas)]
    return "\n".join(parts)


def _by_tag(document: Spec) -> dict[str, list[tuple[str, str, Spec]]]:
    found: dict[str, list[tuple[str, str, Spec]]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                tag = (operation.get("tags") or ["other"])[0]
                found.setdefault(tag, []).append((method.upper(), path, operation))
    return found


def _operation(method: str, path: str, operation: Spec) -> str:
    lines = [f"### `{method} {path}`", ""]
    if operation.get("description"):
        lines += [operation["description"], ""]
    lines += [f"Needs: {_scopes(operation)}.", ""]
    lines += _parameters(operation.get("parameters", []))
    body = operation.get("requestBody")
    if body:
        need = "" if body.get("required") else " (optional)"
        lines += [f"Body{need}: {_content(body.get('content', {}))}.", ""]
    lines += ["| Answer | | Body |", "|---|---|---|"]
    for status, response in operation["responses"].items():
        which = "otherwise" if status == "default" else status
        content = _content(response.get("content", {}))
        lines.append(f"| {which} | {_cell(response.get('description', ''))} | {_cell(content)} |")
    return "\n".join((*lines, ""))


def _scopes(operation: Spec) -> str:
    asked = operation.get("security")
    if not asked:
        return "no key"
    names = [scope for each in asked for scopes in each.values() for scope in scopes]
    return "a key with " + " or ".join(f"`{name}`" for name in names) if names else "any key"


def _parameters(parameters: Sequence[Spec]) -> list[str]:
    if not parameters:
        return []
    rows = ["| Parameter | In | Type | |", "|---|---|---|---|"]
    for each in parameters:
        schema = each.get("schema", {})
        text = each.get("description") or schema.get("description", "")
        notes = _notes(schema, is_required=each.get("required", False), text=text)
        rows.append(f"| `{each['name']}` | {each['in']} | {_cell(_type(schema))} | {notes} |")
    return [*rows, ""]


def _schema(name: str, schema: Spec) -> str:
    lines = [f"### {name}", ""]
    if schema.get("description"):
        lines += [schema["description"], ""]
    properties = schema.get("properties")
    if not properties:
        return "\n".join((*lines, f"Type: {_type(schema)}.", ""))
    required = schema.get("required", ())
    lines += ["| Field | Type | |", "|---|---|---|"]
    for field, each in properties.items():
        text = each.get("description", "")
        notes = _notes(each, is_required=field in required, text=text)
        lines.append(f"| `{field}` | {_cell(_type(each))} | {notes} |")
    return "\n".join((*lines, ""))


def _content(content: Spec) -> str:
    kinds = (
        f"`{kind}`" + (f", {_type(media['schema'])}" if media.get("schema") else "")
        for kind, media in content.items()
    )
    return "; or ".join(kinds) or "none"


def _type(schema: Spec) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(each) for each in schema[key])
    if "const" in schema:
        return f"`{schema['const']!r}`"
    if "enum" in schema:
        return " or ".join(f"`{value!r}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(kind or "any")


def _notes(schema: Spec, *, is_required: bool, text: str) -> str:
    return _cell("; ".join(_facts(schema, is_required=is_required, text=text)))


def _facts(schema: Spec, *, is_required: bool, text: str) -> Iterator[str]:
    if text:
        yield text
    if is_required:
        yield "required"
    elif schema.get("default") is not None:
        yield f"default `{schema['default']!r}`"
    bounds = [schema, *schema.get("anyOf", ())]
    for key, words in _BOUNDS.items():
        for bound in bounds:
            if key in bound:
                yield words.format(bound[key])


_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} fields",
}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


__all__ = ["page"]
