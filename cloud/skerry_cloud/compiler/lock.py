"""Hashes that an environment file itself gives: they hold, whatever the package index says."""

import re
from collections.abc import Iterator, Sequence

_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
_START = re.compile(r"(?=^[A-Za-z0-9])", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def gives_hashes(lines: Sequence[str]) -> bool:
    """Return whether any requirement brings a hash."""
    return any(_HASH.search(line) for line in lines)


def with_given_hashes(lock: str, lines: Sequence[str]) -> str:
    """Return a lock in which the hashes of ``lines`` stand instead of those of the index.

    Args:
        lock: What uv resolved ``lines`` to.
        lines: Requirements in pip's form.
    """
    given = {_name(line): _HASH.findall(line) for line in lines if _HASH.search(line)}
    return "".join(_replaced(entry, given.get(_name(entry), [])) for entry in _entries(lock))


def not_locked(lock: str, lines: Sequence[str]) -> list[str]:
    """Return what a file that locks all it names would need besides: names with versions.

    It is nothing where a line has no hash, for such a file does not claim to be a lock.

    Args:
        lock: What uv resolved ``lines`` to.
        lines: Requirements in pip's form.
    """
    if not all(_HASH.search(line) for line in lines):
        return []
    names = {_name(line) for line in lines}
    return [entry.split()[0] for entry in _entries(lock) if _name(entry) not in names]


def _entries(lock: str) -> Iterator[str]:
    return (entry for entry in _START.split(lock) if entry)


def _replaced(entry: str, hashes: Sequence[str]) -> str:
    if not hashes:
        return entry
    requirement = entry.partition("--hash=")[0].rstrip(" \\\n")
    return " \\\n    ".join([requirement, *(f"--hash={given}" for given in hashes)]) + "\n"


def _name(text: str) -> str:
    found = _NAME.match(text)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""
