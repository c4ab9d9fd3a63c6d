"""``/swagger.json``: what the service takes and gives, as OpenAPI 2.0, 3.0 or 3.1.

A file of the script's own is answered as it is; else the schemas are those of the decorators of
``inference_schema``, or empty objects. A script whose schemas a version cannot say has none of
that version.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skerry_scorer.script.entry import Scorer
from skerry_scorer.settings.host import Service

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Largest file of the script's own that is read."""
_FILES = {
    "2": ("swagger.json", "swagger2.json"),
    "3": ("swagger3.json",),
    "3.1": ("swagger3.1.json",),
}
_ALIASES = {"2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}


class SwaggerError(Exception):
    """There is no description of that version; the text says of which there is."""


def swagger(app_root: Path, service: Service, scorer: Scorer, asked: str) -> dict[str, Any]:
    """Return the description of a version.

    Args:
        app_root: Folder of the entry script, for files of its own.
        service: Name, version and path prefix.
        scorer: The script, for its schemas.
        asked: ``2``, ``2.0``, ``3``, ``3.0`` or ``3.1``.

    Raises:
        SwaggerError: There is none.
    """
    found = _all(app_root, service, scorer)
    supported = f"[{', '.join(found)}]"
    if asked not in _ALIASES:
        text = f"Swagger version [{asked}] is not valid. Supported versions: {supported}."
        raise SwaggerError(text)
    described = found.get(_ALIASES[asked])
    if described is None:
        raise SwaggerError(
            f"Swagger version [{asked}] is not supported for the scoring script. "
            f"Supported swagger versions: {supported}."
        )
    return described


def _all(app_root: Path, service: Service, scorer: Scorer) -> dict[str, dict[str, Any]]:
    schemas = _schemas(scorer)
    found = {}
    for version, names in _FILES.items():
        own = next((file for name in names if (file := _read(app_root / name))), None)
        if own is not None:
            found[version] = own
        elif version in schemas:
            found[version] = _describe(version, service, *schemas[version])
    return found


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_FILE_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SwaggerError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise SwaggerError(f"{path.name} is no JSON object")
    return value


def _schemas(scorer: Scorer) -> dict[str, tuple[Any, Any]]:
    util = sys.modules.get("inference_schema.schema_util")
    run = scorer.run_function
    empty = {"type": "object", "example": {}}
    if util is None:
        return dict.fromkeys(_FILES, (empty, empty))
    versions = {_ALIASES[v] for v in util.get_supported_versions(run) if v in _ALIASES}
    if not util.is_schema_decorated(run):
        return {v: (empty, empty) for v in _FILES if v in versions}
    both = (util.get_input_schema(run), util.get_output_schema(run))
    return {v: both for v in _FILES if v in versions}


def _describe(version: str, service: Service, given: Any, returned: Any) -> dict[str, Any]:
    schemas = {
        "ServiceInput": given,
        "ServiceOutput": returned,
        "ErrorResponse": {"type": "object", "properties": {"message": {"type": "string"}}},
    }
    info = {"title": service.name, "version": service.version}
    info["description"] = (
        f"How to ask {service.name}: data goes in as JSON, what run() makes of it comes out"
    )
    bearer = {"type": "apiKey", "name": "Authorization", "in": "header"}
    prefix = f"/{service.path_prefix}" if service.path_prefix else ""
    head: dict[str, Any]
    if version == "2":
        head = {"swagger": "2.0", "info": info, "schemes": ["https", "http"]}
        head |= {"consumes": ["application/json"], "produces": ["application/json"]}
        head |= {"securityDefinitions": {"Bearer": bearer}, "definitions": schemas}
    else:
        openapi = "3.1.0" if version == "3.1" else "3.0.3"
        components = {"schemas": schemas, "securitySchemes": {"Bearer": bearer}}
        head = {"openapi": openapi, "info": info, "components": components}
    return {**head, "paths": _paths(prefix, _Spelling(version))}


class _Spelling:
    """How one version says where a schema stands, and what an answer holds."""

    def __init__(self, version: str) -> None:
        self.second = version == "2"
        self._root = "#/definitions" if self.second else "#/components/schemas"

    def ref(self, name: str) -> dict[str, str]:
        return {"$ref": f"{self._root}/{name}"}

    def answer(self, text: str, schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
        if self.second:
            return {"description": text, "schema": schema}
        return {"description": text, "content": {kind: {"schema": schema}}}

    def body(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        if self.second:
            name = {"name": "serviceInputPayload", "in": "body"}
            return {"parameters": [{**name, "schema": schema}]}
        return {"requestBody": {"content": {"application/json": {"schema": schema}}}}

    def query(self, name: str) -> dict[str, Any]:
        place = {"name": name, "in": "query", "required": False}
        return {**place, **({"type": "string"} if self.second else {"schema": {"type": "string"}})}


def _paths(prefix: str, spell: _Spelling) -> dict[str, Any]:
    failed = spell.answer("It failed.", spell.ref("ErrorResponse"), "application/json")

    def operation(name: str, text: str, good: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        answers = {"200": good, "default": failed}
        return {"operationId": name, "description": text, "responses": answers, **more}

    healthy = spell.answer("The service answers.", {"type": "string"}, "text/plain")
    scored = spell.answer("What run() returned.", spell.ref("ServiceOutput"), "application/json")
    described = spell.answer("The description.", {"type": "object"}, "application/json")
    body = spell.body(spell.ref("ServiceInput"))
    score = operation("RunMLService", "Score.", scored, security=[{"Bearer": []}], **body)
    version = [spell.query("version")]
    return {
        f"{prefix}/": {"get": operation("ServiceHealthCheck", "Ask for health.", healthy)},
        f"{prefix}/score": {"post": score},
        f"{prefix}/swagger.json": {
            "get": operation("GetSwaggerSpec", "Get this.", described, parameters=version)
        },
    }
