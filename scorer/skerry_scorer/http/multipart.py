"""Forms with files: ``multipart/form-data`` (RFC 7578), for scripts that want raw HTTP."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_PARTS = 1000
"""Most parts of one form."""

_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')


class Upload(io.BytesIO):
    """A file of a form: its bytes, as a file.

    Args:
        name: Name of the field.
        filename: What the client calls the file.
        content_type: What the client says it is, or "".
        data: Its bytes.
    """

    def __init__(self, name: str, filename: str, content_type: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name
        self.filename = filename
        self.content_type = content_type

    @property
    def stream(self) -> "Upload":
        """The file itself, as Flask's have it."""
        return self

    def save(self, target: Any) -> None:
        """Write the bytes to a path or an open file."""
        if hasattr(target, "write"):
            target.write(self.getvalue())
        else:
            Path(target).write_bytes(self.getvalue())


def read_multipart(body: bytes, content_type: str) -> Iterator[tuple[str, str | Upload]]:
    """Give the fields of a form, by name: text, or files where the client named one.

    Args:
        body: All of it.
        content_type: The header that says what separates the parts.

    Raises:
        ValueError: There is no boundary, a part has no name, or there are too many parts.
    """
    boundary = _parameters(content_type).get("boundary", "")
    if not boundary:
        raise ValueError("multipart/form-data without a boundary")
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"), MAX_PARTS + 1)
    if len(parts) > MAX_PARTS + 1:
        raise ValueError(f"a form of more than {MAX_PARTS} parts")
    for part in parts[1:]:
        if part.startswith(b"--"):  # the end; what follows is no part
            return
        yield _field(part)


def _field(part: bytes) -> tuple[str, str | Upload]:
    head, _, data = part.partition(b"\r\n\r\n")
    headers = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        field_name, _, value = line.partition(":")
        headers[field_name.strip().lower()] = value.strip()
    told = _parameters(headers.get("content-disposition", ""))
    if "name" not in told:
        raise ValueError("a part of the form has no name")
    name, filename = told["name"], told.get("filename")
    if filename is None:
        return name, data.decode("utf-8", "replace")
    return name, Upload(name, filename, headers.get("content-type", ""), data)


def _parameters(value: str) -> dict[str, str]:
    found = {}
    for name, text in _PARAMETER.findall(value):
        quoted = text.startswith('"')
        found[name.lower()] = re.sub(r"\\(.)", r"\1", text[1:-1]) if quoted else text
    return found
