"""Pickles, told by their operations and never loaded (the operations: CPython's ``pickletools``).

Whether a pickle is harmless cannot be decided by what it imports: lists of bad names have always
been got around. So every pickle counts as code, and its imports are only told as a hint.
"""

import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

HEAD = 1024 * 1024
"""Bytes of a pickle that are looked at."""
_TORCH_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
# BaseEstimator.__getstate__ puts it into every estimator's state, a few bytes behind its key.
_SKLEARN = re.compile(
    rb"_sklearn_version[^0-9]{0,40}?([0-9]{1,4}\.[0-9]{1,4}(?:\.[0-9]{1,4})?)", re.DOTALL
)
_CALLS = frozenset({"REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"})
_ARGUMENTS = frozenset({"MARK", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE"})
_TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "UNICODE", "BINUNICODE8", "BINSTRING"})
_TEXTS_OLD = frozenset({"SHORT_BINSTRING", "STRING"})
_MAX_IMPORTS = 8
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_OPERATIONS = {code.code.encode("latin-1")[0]: code for code in pickletools.opcodes}


@dataclass(slots=True)
class Seen:
    """What was seen of a stream of operations.

    Attributes:
        operations: How many were read.
        imports: Names that it imports, as far as they can be told, without repetition.
        calls: Whether it calls what it imports.
        ended: Whether it came to its STOP.
    """

    operations: int = 0
    imports: list[str] = field(default_factory=list)
    calls: bool = False
    ended: bool = False
    named: bool = False


def as_pickle(data: bytes) -> Seen | None:
    """Return what is seen of a pickle that ``data`` begins with, or None if it does with none.

    From protocol 2 on a pickle says so in its first two bytes. An older one has no mark, so it
    counts if its operations make sense up to its end or to a call of something imported: what
    follows a call does not undo it.
    """
    marked = len(data) > 2 and data[0] == 0x80 and 2 <= data[1] <= 5  # PEP 307 ff.
    if not marked and data[:1] not in _OLD_STARTS:
        return None
    seen = _look(data)
    if marked:
        return seen if seen.operations > 1 else None
    return seen if seen.named and (seen.ended or seen.calls) else None


def is_torch(data: bytes) -> bool:
    """Return whether a pickle is a checkpoint of PyTorch from before its zip files."""
    return data[2:].startswith(_TORCH_MAGIC)


def sklearn_version(data: bytes) -> str:
    """Return the version of scikit-learn that an estimator was saved with; empty if none is."""
    found = _SKLEARN.search(data)
    return found[1].decode() if found else ""


_OLD_STARTS = frozenset(
    bytes([code]) for code, operation in _OPERATIONS.items() if operation.proto < 2
)


def _look(data: bytes) -> Seen:
    seen = Seen()
    texts: list[str] = []
    arguments = False
    for name, argument in _operations(data):
        seen.operations += 1
        if name in ("GLOBAL", "INST"):
            _name(seen, argument.replace(b"\n", b".", 1).strip().decode("utf-8", "replace"))
        elif name == "STACK_GLOBAL":
            _name(seen, ".".join(texts[-2:]) or "?")
        elif name in ("EXT1", "EXT2", "EXT4"):
            _name(seen, "an extension")
        elif name in _TEXTS or name in _TEXTS_OLD:
            texts = [*texts[-1:], argument[:200].strip().decode("utf-8", "replace")]
        seen.calls |= name in _CALLS and seen.named and arguments
        arguments |= name in _ARGUMENTS
        seen.ended = name == "STOP"
    return seen


def _name(seen: Seen, name: str) -> None:
    seen.named = True
    if name not in seen.imports and len(seen.imports) < _MAX_IMPORTS:
        seen.imports.append(name[:100])


def _operations(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield operations with their raw arguments until STOP, or until one makes no sense."""
    at = 0
    while at < len(data):
        operation = _OPERATIONS.get(data[at])
        if operation is None:
            return
        start = at + 1
        kind = operation.arg
        if kind is None:
            end = start
        elif kind.n >= 0:
            end = start + kind.n
        elif kind.n in _LENGTH_BYTES:
            width = _LENGTH_BYTES[kind.n]
            length = int.from_bytes(data[start : start + width], "little")
            start, end = start + width, start + width + length
        else:
            lines = 2 if operation.name in ("GLOBAL", "INST") else 1
            end = _after_lines(data, start, lines)
        if end > len(data) or end < start or not _sensible(operation.name, data[start:end]):
            return
        yield operation.name, data[start:end]
        if operation.name == "STOP":
            return
        at = end


def _after_lines(data: bytes, start: int, lines: int) -> int:
    for _ in range(lines):
        start = data.find(b"\n", start) + 1
        if not start:
            return -1
    return start


def _sensible(name: str, argument: bytes) -> bool:
    """Return whether the line of a text operation is what it must be; others always are."""
    line = argument.strip()
    if name in ("INT", "LONG", "PUT", "GET"):
        return line.rstrip(b"L").lstrip(b"-").isdigit()
    if name == "STRING":
        return len(line) > 1 and line[:1] == line[-1:] and line[:1] in b"'\""
    if name in ("GLOBAL", "INST"):
        return b" " not in line
    return True
