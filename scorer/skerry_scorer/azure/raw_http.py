"""Raw HTTP for entry scripts: ``@rawhttp``, ``AMLRequest`` and ``AMLResponse``.

The names and what can be asked of them are those of azureml-contrib-services and of
azureml-inference-server-http 1.5, whose classes are Flask's; ``finder`` makes them importable under
both names where neither is installed.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from skerry_scorer.http.multipart import Upload, read_multipart
from skerry_scorer.http.wire import Request

__all__ = ["AMLRequest", "AMLResponse", "rawhttp"]

F = TypeVar("F", bound=Callable[..., Any])

RAW_MARK = "_skerry_rawhttp"
"""Attribute of a ``run()`` that wants the whole request."""


def rawhttp(function: F) -> F:
    """Have ``run()`` called with the whole request, an ``AMLRequest``, whatever its method."""
    setattr(function, RAW_MARK, True)
    return function


class Headers:
    """Header fields; names are compared without regard to case, and may stand several times."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)

    def __getitem__(self, name: str) -> str:
        for found, value in self._pairs:
            if found.lower() == name.lower():
                return value
        raise KeyError(name)

    def __setitem__(self, name: str, value: object) -> None:
        self.remove(name)
        self.add(name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.getlist(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of a field, or ``default``."""
        return next(iter(self.getlist(name)), default)

    def getlist(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for found, value in self._pairs if found.lower() == name.lower()]

    def add(self, name: str, value: object) -> None:
        """Add a field, besides others of its name."""
        self._pairs.append((name, str(value)))

    add_header = add
    set = __setitem__

    def remove(self, name: str) -> None:
        """Remove all fields of a name."""
        self._pairs = [pair for pair in self._pairs if pair[0].lower() != name.lower()]

    def items(self) -> list[tuple[str, str]]:
        """Return all fields, as pairs."""
        return list(self._pairs)

    def keys(self) -> list[str]:
        """Return the names of all fields."""
        return [name for name, _ in self._pairs]


class Values(dict[str, Any]):
    """Values by name, the first of each; ``getlist`` has all of them."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        super().__init__()
        self._lists: dict[str, list[Any]] = {}
        for name, value in pairs:
            self.setdefault(name, value)
            self._lists.setdefault(name, []).append(value)

    def getlist(self, name: str) -> list[Any]:
        """Return all values of a name."""
        return list(self._lists.get(name, ()))


class AMLRequest:
    """A request as it came.

    Args:
        request: What the host has read.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.method = request.method
        self.path = request.path
        self.query_string = request.query.encode()
        self.headers = Headers((_title(name), value) for name, value in request.headers.items())
        self.content_type: str | None = request.headers.get("content-type")
        self.content_length = len(request.body)
        self.host = request.headers.get("host", "")
        self.scheme = "http"
        self.remote_addr: str | None = None

    @property
    def full_path(self) -> str:
        """Path and query; the question mark is there without a query too, as in Flask."""
        return f"{self.path}?{self._request.query}"

    @property
    def url(self) -> str:
        """The whole address."""
        query = f"?{self._request.query}" if self._request.query else ""
        return f"{self.base_url}{query}"

    @property
    def base_url(self) -> str:
        """The address without the query."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def mimetype(self) -> str:
        """The content type without its parameters, in lower case."""
        return (self.content_type or "").split(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Whether the content type says that the body is JSON."""
        return is_json(self.mimetype)

    @property
    def data(self) -> bytes:
        """The body, unless it is a form."""
        return b"" if self.mimetype in _FORMS else self._request.body

    def get_data(self, *_: object, as_text: bool = False, **__: object) -> Any:
        """Return the body, whatever it is: bytes, or text from UTF-8."""
        body = self._request.body
        return body.decode("utf-8", "replace") if as_text else body

    @cached_property
    def stream(self) -> io.BytesIO:
        """The body as a file."""
        return io.BytesIO(self._request.body)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return self.get_json()

    def get_json(self, *, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002 - Flask's
        """Return the body as JSON; None where ``silent`` and it is none.

        Raises:
            ValueError: It is not JSON, or does not say that it is and ``force`` is not set.
        """
        if not (force or self.is_json):
            if silent:
                return None
            raise ValueError("the content type is not application/json")
        try:
            return json.loads(self._request.body)
        except ValueError:
            if silent:
                return None
            raise

    @cached_property
    def args(self) -> Values:
        """Values of the query."""
        return Values(parse_qsl(self._request.query, keep_blank_values=True))

    @cached_property
    def cookies(self) -> dict[str, str]:
        """Cookies by name."""
        pairs = (part.partition("=") for part in self.headers.get("Cookie", "").split(";"))
        return {name.strip(): value.strip('" ') for name, sign, value in pairs if sign}

    @property
    def form(self) -> Values:
        """Text fields of a form."""
        return self._form[0]

    @property
    def files(self) -> Values:
        """Files of a form."""
        return self._form[1]

    @property
    def values(self) -> Values:
        """Values of the query, then those of a form."""
        return Values([*self.args.items(), *self.form.items()])

    @cached_property
    def _form(self) -> tuple[Values, Values]:
        body = self._request.body
        if self.mimetype == _FORMS[0]:
            text = body.decode("utf-8", "replace")
            return Values(parse_qsl(text, keep_blank_values=True)), Values(())
        if self.mimetype != _FORMS[1]:
            return Values(()), Values(())
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, Upload]] = []
        for name, value in read_multipart(body, self.content_type or ""):
            if isinstance(value, Upload):
                files.append((name, value))
            else:
                fields.append((name, value))
        return Values(fields), Values(files)


class AMLResponse:
    """An answer of a script's own.

    Args:
        message: Text, bytes, parts of either, or with ``json_str`` what JSON can say; None is an
            empty JSON object.
        status_code: From 200 to 599.
        response_headers: Header fields; commas separate several of one name.
        json_str: Whether ``message`` is to be written as JSON.
        run_function_failed: Whether the answer counts as a failure of ``run()``.
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,  # noqa: FBT001, FBT002 - the original's
        run_function_failed: bool = False,  # noqa: FBT001, FBT002 - the original's
    ) -> None:
        as_json = message is None or json_str
        self.status_code = int(status_code)
        self.headers = Headers()
        own_type = "application/json" if as_json else "text/html; charset=utf-8"
        self.headers.add("Content-Type", own_type)
        self.headers.add("x-ms-run-function-failed", run_function_failed)
        self._body = json.dumps({} if message is None else message).encode() if as_json else b""
        if not as_json:
            self.set_data(message)
            if "Content-Type" in (response_headers or {}):
                self.headers.remove("Content-Type")
        for name, value in (response_headers or {}).items():
            for part in str(value).split(","):
                self.headers.add(name, part.strip())

    @property
    def data(self) -> bytes:
        """The body."""
        return self._body

    def get_data(self, as_text: bool = False) -> Any:  # noqa: FBT001, FBT002 - Flask's
        """Return the body: bytes, or text from UTF-8."""
        return self._body.decode("utf-8", "replace") if as_text else self._body

    def set_data(self, value: Any) -> None:
        """Replace the body by text, bytes, or parts of either."""
        if isinstance(value, str | bytes | bytearray | memoryview):
            value = [value]
        parts = (part.encode() if isinstance(part, str) else bytes(part) for part in value)
        self._body = b"".join(parts)

    @property
    def content_type(self) -> str:
        """The content type."""
        return str(self.headers.get("Content-Type", ""))

    @content_type.setter
    def content_type(self, value: str) -> None:
        self.headers["Content-Type"] = value


def is_json(mimetype: str) -> bool:
    """Return whether a content type without parameters, in lower case, stands for JSON."""
    return mimetype == "application/json" or (
        mimetype.startswith("application/") and mimetype.endswith("+json")
    )


def title_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Return header fields with their names spelled ``Like-This``, as a script expects them."""
    return {_title(name): value for name, value in headers.items()}


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
