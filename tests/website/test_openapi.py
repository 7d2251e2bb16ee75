from typing import Any

import pytest

from website.hooks import describe_service
from website.openapi import page

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"version": "9.9"},
    "paths": {
        "/things/{id}": {
            "put": {
                "tags": ["things"],
                "description": "Change a thing.",
                "security": [{"bearer": ["write", "admin"]}],
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                    },
                },
                "responses": {"204": {"description": "changed"}},
            }
        },
        "/health": {"get": {"responses": {"200": {"description": "yes | no"}}}},
    },
    "components": {
        "schemas": {
            "Thing": {
                "description": "A thing.",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 8},
                    "size": {
                        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}],
                        "description": "in metres",
                    },
                    "kind": {"enum": ["a", "b"], "default": "a"},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                },
            }
        }
    },
}


@pytest.mark.parametrize(
    "line",
    [
        "## Things",
        "### `PUT /things/{id}`",
        "Change a thing.",
        "Needs: a key with `write` or `admin`.",
        "| `id` | path | string | required |",
        "Body: `application/json`, [Thing](#thing).",
        "| 204 | changed | none |",
        "| 200 | yes \\| no | none |",
        "Needs: no key.",
        "### Thing",
        "| `name` | string | required; at most 8 characters |",
        "| `size` | number or null | in metres; above 0 |",
        "| `kind` | `'a'` or `'b'` | default `'a'` |",
        "| `parts` | list of [Thing](#thing) |  |",
    ],
)
def test_document_is_told_line_by_line(line: str) -> None:
    assert line in page(DOCUMENT).splitlines()


def test_every_route_of_the_service_has_its_section() -> None:
    document = describe_service()
    told = page(document)

    routes = [(path, method) for path, item in document["paths"].items() for method in item]
    assert len(routes) > 20
    assert [r for r in routes if f"\n### `{r[1].upper()} {r[0]}`\n" not in told] == []
