"""The API in OpenAPI, made of the schemas that check the requests: it cannot say anything else than they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

_VERSION = "1"
"""Of the interface, which is zilliztech/milvus-cdc's with additions."""
_DESCRIPTION = (
    "Change data capture from one Milvus to another. The HTTP status is 200, but 413 for a body that is too large; "
    "`code` tells."
)
_ANSWER = {
    "type": "object",
    "required": ["code"],
    "properties": {
        "code": {"type": "integer", "description": "200, 400 (the request is wrong), 405, 413 or 500"},
        "message": {"type": "string", "description": "what is wrong and what to do; absent when nothing is"},
        "data": {"type": "object", "description": "by request type; absent when there is a message"},
    },
}


def document(types: Mapping[str, Schema]) -> dict[str, Any]:
    """`types`: request type -> the shape of its data."""
    spec = APISpec("milvus-cdc-workers", _VERSION, "3.1.0", [MarshmallowPlugin()], info={"description": _DESCRIPTION})
    spec.components.schema("Answer", _ANSWER)
    for data in {type(schema): schema for schema in types.values()}.values():
        spec.components.schema(_name_of(data), schema=data)
    for name, data in types.items():
        spec.components.schema(f"{name.capitalize()}Request", _envelope(name, data))
    body = {"oneOf": [_ref(f"{name.capitalize()}Request") for name in types]}
    spec.path(
        "/cdc",
        operations={
            "post": {
                "operationId": "cdc",
                "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                "responses": {
                    "200": {"description": "done, refused or failed: see its code", **_json("Answer")},
                    "413": {"description": "the body is too large", **_json("Answer")},
                },
            }
        },
    )
    return spec.to_dict()


def _envelope(name: str, data: Schema) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["request_type"],
        "properties": {"request_type": {"type": "string", "enum": [name]}, "request_data": _ref(_name_of(data))},
        "additionalProperties": False,
    }


def _json(schema: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": _ref(schema)}}}


def _ref(component: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{component}"}


def _name_of(data: Schema) -> str:
    """As apispec names the schemas inside it, too."""
    return type(data).__name__.removesuffix("Schema")
