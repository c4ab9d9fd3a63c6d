"""safetensors (the format's own README: 8 bytes of length, a JSON header, the tensors)."""

import json
from math import prod
from typing import Any

from skerry_cloud.formats.finding import DamagedError, Finding
from skerry_cloud.formats.source import Source

MAX_HEADER = 16 * 1024 * 1024
"""Longest header that is read, in bytes; the format itself allows 100 million."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32,
    "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64,
}  # fmt: skip
_MAX_AXES = 64
_LARGEST = 1 << 48
"""Eight bytes that say more than this are no length but the text of some other file."""


def read(source: Source, path: str) -> Finding | None:
    """Read the header, or return None if it is something else.

    Raises:
        DamagedError: The header is too long, or its tensors are not where it says.
        TooCostlyError: The budget is used up.
    """
    start = source.start(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{" or length >= _LARGEST:
        return None
    if length > min(MAX_HEADER, source.size - 8):
        raise DamagedError(f"its header claims {length} bytes, of {source.size} in all")
    header = _header(source.at(8, length))
    facts = header.pop("__metadata__", {})
    if not isinstance(facts, dict) or not all(isinstance(one, str) for one in facts.values()):
        raise DamagedError("its metadata is no object of texts")
    dtypes = _check_tensors(header, source.size - 8 - length)
    told = {key[:100]: value[:500] for key, value in list(facts.items())[:20]}
    told |= {"tensors": str(len(header)), "dtypes": ", ".join(dtypes)}
    return Finding(path, "safetensors", facts=told)


def _header(data: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise DamagedError("its header names a key twice")
        return dict(pairs)

    try:
        header = json.loads(data, object_pairs_hook=once)
    except DamagedError:
        raise
    except (RecursionError, ValueError) as error:  # also a number of too many digits
        raise DamagedError("its header is no JSON") from error
    if not isinstance(header, dict):
        raise DamagedError("its header is no object")
    return header


def _check_tensors(header: dict[str, Any], room: int) -> list[str]:
    """Return the types of all tensors, which must fill the rest of the file without a gap."""
    spans, dtypes = [], set()
    for name, about in header.items():
        try:
            dtype, shape = about["dtype"], about["shape"]
            begin, end = about["data_offsets"]
            numbers = [begin, end, *shape]
            sane = all(type(number) is int and 0 <= number < _LARGEST for number in numbers)
            sane = sane and len(shape) <= _MAX_AXES
            fits = sane and prod(shape) * _BITS[dtype] == (end - begin) * 8
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"tensor {name[:80]!r} is not described") from error
        if not fits:
            raise DamagedError(f"tensor {name[:80]!r} does not have the size of its shape")
        spans.append((begin, end, name))
        dtypes.add(dtype)
    reached = 0
    for begin, end, name in sorted(spans):
        if begin != reached:
            what = "overlaps another" if begin < reached else "leaves a gap before it"
            raise DamagedError(f"tensor {name[:80]!r} {what}")
        reached = end
    if reached != room:
        raise DamagedError(f"its tensors end at byte {reached} of {room}")
    return sorted(dtypes)
