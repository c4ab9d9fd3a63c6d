"""NumPy's ``.npy`` (NEP 1, ``numpy.lib.format``); objects in it are a pickle."""

import ast
from typing import Any

from skerry_cloud.formats.finding import Finding
from skerry_cloud.formats.source import Source

MAX_HEADER = 64 * 1024
"""Longest header that is read, in bytes; NumPy itself trusts 10,000."""
_MAGIC = b"\x93NUMPY"
_UNSEEN = "its header cannot be read, so it may hold objects, which are a pickle"


def read(source: Source, path: str) -> Finding | None:
    """Read the header of an array, or return None if it is something else.

    Raises:
        DamagedError: It ends before its header does.
        TooCostlyError: The budget is used up.
    """
    start = source.start(12)
    if not start.startswith(_MAGIC):
        return None
    width = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > MAX_HEADER:
        return Finding(path, "numpy", _UNSEEN)
    header = _header(source.at(8 + width, length))
    if header is None:
        return Finding(path, "numpy", _UNSEEN)
    descr, shape = header.get("descr"), header.get("shape")
    why = "its objects are stored as a pickle" if _holds_objects(descr) else ""
    axes = shape[:64] if isinstance(shape, tuple) else ()
    facts = {"dtype": str(descr)[:200], "shape": ", ".join(str(axis)[:20] for axis in axes)}
    return Finding(path, "numpy", why, facts=facts)


def _header(data: bytes) -> dict[str, Any] | None:
    """Return the literal that a header is, read as NumPy reads it."""
    try:
        header = ast.literal_eval(data.decode("latin-1").strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return header if isinstance(header, dict) and "descr" in header else None


def _holds_objects(descr: Any) -> bool:
    """Return whether a type is or has one of objects, which no other type is spelled like.

    A type is a text, a type with a shape, or a list of fields: name, type and perhaps a shape.
    """
    if isinstance(descr, str):
        return "o" in descr.lower()  # O, |O8, object, f4,O
    if isinstance(descr, list):
        return any(not isinstance(one, tuple) or _holds_objects(one[1:2]) for one in descr)
    return not isinstance(descr, tuple) or not descr or _holds_objects(descr[0])
