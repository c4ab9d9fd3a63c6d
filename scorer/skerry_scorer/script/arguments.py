"""What ``run()`` is called with: three ways in which entry scripts want their data.

A plain ``run(data)`` gets the body as text; one under ``inference_schema``'s decorators gets the
values of a JSON object by name; one under ``@rawhttp`` gets the request. Each may have a parameter
``request_headers`` besides. The rules are those of azureml-inference-server-http 1.5.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qsl

from skerry_scorer.azure.raw_http import RAW_MARK, AMLRequest, is_json, title_case
from skerry_scorer.http.wire import Request

HEADERS = "request_headers"
"""Parameter of ``run()`` that gets the header fields, ``{}`` where there are none."""

_BINARY_TYPES = ("application/octet-stream", "image/", "audio/")
_REAL_RAW_MODULES = (
    "azureml.contrib.services.aml_request",
    "azureml_inference_server_http.api.aml_request",
)

Run = Callable[..., Any]
Bound = Callable[[], Any]
"""A call of ``run()`` with its arguments."""


class InputError(Exception):
    """The request does not hold what ``run()`` needs: it is not called.

    Attributes:
        status: Status to answer with.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class SignatureError(Exception):
    """``run()`` is declared in a way in which it cannot be called."""


class Arguments(Protocol):
    """Binds ``run()`` to what it is called with."""

    def of_request(self, request: Request) -> Bound:
        """Return the call for a request to ``/score``.

        Raises:
            InputError: There is something wrong with it.
        """
        ...

    def of_input(self, data: str | bytes) -> Bound:
        """Return the call for an input that did not come over HTTP.

        Raises:
            InputError: There is something wrong with it.
        """
        ...

    def of_values(self, values: Mapping[str, Any], headers: Mapping[str, str]) -> Bound:
        """Return the call for values by name, as the Open Inference Protocol has them.

        Raises:
            InputError: One is missing.
        """
        ...


def arguments_of(run: Run) -> Arguments:
    """Return the way in which ``run()`` wants its data.

    Raises:
        SignatureError: There is none.
    """
    decorated = _is_schema_decorated(run)
    raw = _wants_raw_http(run)
    if raw and decorated:
        raise SignatureError("run() cannot be decorated with both @rawhttp and @input_schema")
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except ValueError:
        return TextArgument(run)  # a function written in C may not tell
    named = [p for p in parameters if p.name != HEADERS]
    with_headers = len(named) != len(parameters)
    if decorated:
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if any(p.kind in (*variable, inspect.Parameter.POSITIONAL_ONLY) for p in named):
            raise SignatureError("run() cannot accept positional-only arguments, *args or **kwargs")
        return NamedArguments(run, {p.name: p.default for p in named}, with_headers)
    _check_one(run, with_headers)
    return RawArgument(run, with_headers) if raw else TextArgument(run, with_headers)


class TextArgument:
    """The body as text; as bytes where its content type says that it is binary."""

    def __init__(self, run: Run, with_headers: bool = False) -> None:  # noqa: FBT001, FBT002 - a fact of run()
        self._run = run
        self._with_headers = with_headers

    def of_request(self, request: Request) -> Bound:
        """Return the call for the body, or for the query of a GET as a JSON object."""
        return self._bound(score_input(request), request.headers)

    def of_input(self, data: str | bytes) -> Bound:
        """Return the call for the input as it is."""
        return self._bound(data, {})

    def of_values(self, values: Mapping[str, Any], headers: Mapping[str, str]) -> Bound:
        """Return the call for a JSON object of the values."""
        plain = {name: getattr(v, "tolist", lambda v=v: v)() for name, v in values.items()}
        return self._bound(json.dumps(plain), headers)

    def _bound(self, data: str | bytes, headers: Mapping[str, str]) -> Bound:
        if self._with_headers:
            return partial(self._run, data, **{HEADERS: title_case(headers)})
        return partial(self._run, data)


class NamedArguments:
    """The values of a JSON object, by name, with the defaults of the parameters."""

    def __init__(self, run: Run, defaults: Mapping[str, Any], with_headers: bool) -> None:  # noqa: FBT001 - a fact of run()
        self._run = run
        self._defaults = defaults
        self._with_headers = with_headers

    @property
    def names(self) -> list[str]:
        """The names of the parameters."""
        return list(self._defaults)

    def of_request(self, request: Request) -> Bound:
        """Return the call for the JSON object of a POST, or the query of a GET."""
        if request.method == "GET":
            return self.of_values(query_values(request.query), request.headers)
        mimetype = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if not is_json(mimetype):
            raise InputError(415, "Expects Content-Type to be application/json")
        if not request.body:
            raise InputError(400, "POST body is empty. Expecting a JSON dictionary.")
        return self.of_values(_object(request.body, "POST body"), request.headers)

    def of_input(self, data: str | bytes) -> Bound:
        """Return the call for an input that holds a JSON object."""
        return self.of_values(_object(data, "the input"), {})

    def of_values(self, values: Mapping[str, Any], headers: Mapping[str, str]) -> Bound:
        """Return the call for these values; others than the parameters are left out."""
        found = {}
        for name, default in self._defaults.items():
            value = values.get(name, default)
            if value is inspect.Parameter.empty:
                raise InputError(400, f"A value is not provided for the {name!r} parameter.")
            found[name] = value
        if self._with_headers:
            found[HEADERS] = title_case(headers)
        return partial(self._run, **found)


class RawArgument:
    """The request itself."""

    def __init__(self, run: Run, with_headers: bool) -> None:  # noqa: FBT001 - a fact of run()
        self._run = run
        self._with_headers = with_headers

    def of_request(self, request: Request) -> Bound:
        """Return the call for the request; Flask's own where the real package is installed."""
        raw = _flask_request(request) if _real_rawhttp() else AMLRequest(request)
        if self._with_headers:
            return partial(self._run, raw, **{HEADERS: title_case(request.headers)})
        return partial(self._run, raw)

    def of_input(self, data: str | bytes) -> Bound:
        """Return the call for a POST whose body is the input."""
        text = isinstance(data, str)
        kind = "application/json" if text else "application/octet-stream"
        body = data.encode() if isinstance(data, str) else data
        headers = {"host": "localhost", "content-type": kind}
        return self.of_request(Request("POST", "/score", headers=headers, body=body))

    def of_values(self, values: Mapping[str, Any], headers: Mapping[str, str]) -> Bound:  # noqa: ARG002 - the Protocol's
        """Refuse: there is no request that these values would be."""
        raise InputError(400, "this module wants raw HTTP requests, at /score")


def score_input(request: Request) -> str | bytes:
    """Return what ``run(data)`` gets of a request to ``/score``.

    The query as a JSON object for GET; for POST bytes where the content type says that they are
    binary, else text.

    Raises:
        InputError: The body should be text and is not UTF-8.
    """
    if request.method == "GET":
        return json.dumps(query_values(request.query))
    content_type = request.headers.get("content-type", "").lower()
    if content_type.startswith(_BINARY_TYPES):
        return request.body
    try:
        return request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(400, f"Input cannot be decoded as UTF-8: {error}") from error


def query_values(query: str) -> dict[str, Any]:
    """Return the values of a query: JSON where they are, else text; a repeated name has a list."""
    found: dict[str, list[Any]] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _object(data: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(400, f"{what} could not be decoded as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(400, f"{what} should be a JSON dictionary.")
    return value


def _check_one(run: Run, with_headers: bool) -> None:  # noqa: FBT001 - a fact of run()
    headers: dict[str, Any] = {HEADERS: {}} if with_headers else {}
    try:
        inspect.signature(run).bind("data", **headers)
    except TypeError as error:
        raise SignatureError(f"run() must take one argument: {error}") from error


def _is_schema_decorated(run: Run) -> bool:
    # Asked only where the script has imported it: the host itself needs no such package.
    schema_util = sys.modules.get("inference_schema.schema_util")
    return bool(schema_util and schema_util.is_schema_decorated(run))


def _wants_raw_http(run: Run) -> bool:
    return bool(getattr(run, RAW_MARK, False)) or _real_rawhttp()


def _real_rawhttp() -> bool:
    # The real packages note it in the module and leave the function as it is.
    modules = (sys.modules.get(name) for name in _REAL_RAW_MODULES)
    return any(getattr(module, "_rawHttpRequested", False) for module in modules)


def _flask_request(request: Request) -> Any:
    # They are there only where the script has brought them.
    flask, test = importlib.import_module("flask"), importlib.import_module("werkzeug.test")
    builder = test.EnvironBuilder(
        path=request.path,
        query_string=request.query,
        method=request.method,
        headers=title_case(request.headers),
        data=request.body,
    )
    return flask.Request(builder.get_environ())
