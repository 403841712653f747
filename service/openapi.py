"""The OpenAPI document: FastAPI's own, with errors, API keys and nulls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.http.problems import COHERE, NATIVE, OPENAI, TEI, Dialect
from service.schemas.uploads import UploadOptions

REF = "#/components/schemas/{}"
COMMON = (400, 401, 403, 413, 414, 421, 422, 429, 431, 503)
OPEN_TAGS = frozenset({"operations", "pages"})  # routes without keys and limits

ANNOTATIONS = ("title", "description", "default", "examples")  # the keywords of a schema that refuse no value
NULL = {"type": "null"}
KEY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
SERVERS = [{"url": ".", "description": "The folder of this document, also below a path of a proxy."}]

NAMING_PATHS = frozenset(
    {"/v1/embeddings", "/v1/search"}
)  # the body names a model or a collection, which may not exist

Schema = dict[str, Any]


def describe(app: FastAPI, *, needs_key: bool) -> Schema:
    """Return the document; it is made once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title=app.title,
        version=app.version,
        description="Semantic search over collections of documents.",
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=SERVERS,
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = KEY_SCHEMES
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for model in (dialect.schema for dialect in (NATIVE, OPENAI, TEI, COHERE)):
        schema = model.model_json_schema(ref_template=REF.format("{model}"), mode="serialization")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    for form in (UploadOptions,):
        schema = form.model_json_schema(ref_template=REF.format("{model}"))
        schemas.update(schema.pop("$defs", {}))
        schemas[form.__name__] = schema
    _name_bounds(schemas)
    _name_bounds(document["paths"])
    security: list[Schema] = [*({name: []} for name in KEY_SCHEMES), *([] if needs_key else [{}])]
    bodies: set[str] = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _describe(path, operation, app.state.dialects.of(path), security)
            bodies |= _referenced(operation.get("requestBody", {}), schemas)
    for name in bodies:
        _accept_nulls(schemas[name])
    app.openapi_schema = document
    return document


def _name_bounds(schema: Any) -> None:
    """Rename bounds that pydantic leaves under their Python names."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            for python, json in (("ge", "minimum"), ("le", "maximum")):
                if python in schema:
                    schema[json] = schema.pop(python)
        for value in schema.values():
            _name_bounds(value)
    elif isinstance(schema, list):
        for value in schema:
            _name_bounds(value)


def _referenced(part: Any, schemas: Schema) -> set[str]:
    """Return the names of all schemas that a part of the document uses."""
    found: set[str] = set()
    pending = [*_references(part)]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += _references(schemas[name])
    return found


def _references(part: Any) -> Iterator[str]:
    values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for value in values:
        yield from _references(value)
    if isinstance(part, dict) and isinstance(part.get("$ref"), str):
        yield part["$ref"].rpartition("/")[2]


def _accept_nulls(schema: Schema) -> None:
    """Let optional fields of a body be null, as `service/schemas/base.py` does."""
    properties = schema.get("properties", {})
    for name in properties.keys() - {*schema.get("required", ())}:
        field = properties[name]
        if NULL not in field.get("anyOf", ()):
            annotations = {key: value for key, value in field.items() if key in ANNOTATIONS}
            values = {key: value for key, value in field.items() if key not in ANNOTATIONS}
            properties[name] = {"anyOf": [values, NULL], **annotations}


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """Return the methods of the closest path template that fits."""
    paths = app.openapi()["paths"]
    for variable in ("[^/]+", ".+"):  # some parameters contain slashes, because ids may
        fitting = [template for template in paths if _pattern(template, variable).fullmatch(path)]
        for template in sorted(fitting, key=lambda template: -len(re.sub(r"{[^}]*}", "", template))):
            return sorted(method.upper() for method in paths[template])
    return []


def _pattern(template: str, variable: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[^}]*\\\}", variable, re.escape(template)))


def _describe(path: str, operation: Schema, dialect: Dialect, security: list[Schema]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    if OPEN_TAGS & set(operation.get("tags", ())):
        return
    schema = {"$ref": REF.format(dialect.schema.__name__)}
    statuses = {*COMMON}
    if "{" in path or path in NAMING_PATHS:
        statuses |= {404}
    if "{" in path:
        statuses |= {409}  # the collection has another state than the request needs
    if "changes" in operation.get("tags", ()):
        statuses |= {409, 507}
    if any(each["name"].lower() == "if-match" for each in operation.get("parameters", ())):
        statuses.add(412)
    if "answers" in operation.get("tags", ()):
        statuses |= {502, 504}
    for status in sorted(statuses):
        answer: Schema = {"description": HTTPStatus(status).phrase, "content": {dialect.media_type: {"schema": schema}}}
        if status in dialect.without_body:
            del answer["content"]
        responses.setdefault(str(status), answer)
    operation["security"] = security
