"""Requirements in pip's form, line by line: what is taken, and why the rest is not.

Only names and versions are taken from them. What would make whoever installs it run or fetch
something of the author's choice (folders, URLs, repositories) is refused, with its line and what to
do instead.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from skerry_contract.conda_names import REPLACED
from skerry_contract.errors import EnvironmentFileError

PYTHON = "3.11"
"""The Python of the base."""
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
"""A package's name."""
MAX_FILES = 20
"""Files that one environment may be made of."""

Beside = Callable[[str], str]
"""Gives the text of a file by its path, which is relative to the scorer's folder; it raises an
``EnvironmentFileError`` if there is none."""

_MAX_LINE = 2000
_REQUIREMENT = re.compile(
    rf"(?P<name>{NAME})\s*(?:\[[A-Za-z0-9._,\s-]*\])?\s*"
    r"(?:\(?\s*(?:(?:===|[<>=!~]=|[<>])\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*\)?)\s*"
    r"(?:;[^;]+)?(?:\s--hash=sha256:[0-9a-f]{64})*"
)
_INDEX = re.compile(r"(-i|--index-url|--extra-index-url)[\s=]\s*(https://[^\s\"']+)")
_OTHER_FILE = re.compile(r"(?:-r|--requirement)[\s=]*([^\s=].*)")
# They ask for what is so in any case.
_ANYWAY = re.compile(r"--(prefer-binary|no-cache-dir|only-binary[\s=]\s*\S+|require-hashes)")

_FILES = "Files and URLs are not taken. What lies beside the entry script can be imported as it is."
_WHY = {
    r"(-e|--editable)\b": "Source folders are not built here: put the package's folder beside the "
    "entry script, from where it is imported, and name what it needs.",
    r"(-c|--constraint)\b": "Constraints are not read: write the versions into the requirements.",
    r"(-f|--find-links)\b": "Pages of links are not read: name an index with --extra-index-url.",
    r"(-i|--index-url|--extra-index-url)\b": "Only indexes with https:// are asked.",
    r"--trusted-host\b": "An index is asked only if its certificate holds: leave the line out.",
    r"--(pre|no-binary|no-index|use-)": "Only wheels are taken, and pre-releases where a version "
    "names one: leave the line out.",
    r"\S*\s*@?\s*(git|hg|svn|bzr)\+": "Repositories are not built here: publish a wheel on an "
    "index, or put the package's folder beside the entry script.",
    r".*\$": "Variables are not replaced: write what they stand for.",
    r"\[\S+\]$": "This looks like a Pipfile or INI: let 'pipenv requirements' write a .txt file, "
    "or use a pyproject.toml.",
    r"\S*\s*@|[a-z]+://|\.{0,2}/|.*\.(whl|zip|tar\.gz)$": _FILES,
    rf"{NAME}\s*=\s*[\d*]": "Versions follow '==' here; one '=' is conda's form, for a .yml.",
}
"""How lines begin that are not taken, and what to do instead."""
_ELSE = f"Write lines such as 'numpy==1.26.4'. {_FILES}"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an environment asks for.

    Attributes:
        lines: Requirements in pip's form.
        indexes: Options that name package indexes, for uv.
        notes: What was left out or changed, in words for its author.
        replaced: Names of the packages whose place the scorer host takes.
    """

    lines: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def numbered(path: str, text: str) -> list[tuple[str, str]]:
    """Return the lines of a file with their places, joined where a backslash asks for it."""
    found: list[tuple[int, str]] = []
    pending = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        start = found.pop()[0] if pending else number
        line = f"{pending} {line}".strip()
        pending = line.removesuffix("\\").strip() if line.endswith("\\") else ""
        found.append((start, pending or line))
    return [(f"{path}:{number}", line) for number, line in found if line]


def with_files(
    path: str, places: Sequence[tuple[str, str]], beside: Beside | None
) -> list[tuple[str, str]]:
    """Return lines with those of the files that they name by ``-r`` in between.

    Args:
        path: Where the lines stand; other files are looked for from its folder on.
        places: The lines, with their places.
        beside: Gives other files; None where there are none.

    Raises:
        EnvironmentFileError: A file is not there, or lies elsewhere.
    """
    return list(_expanded(path, places, beside, {posixpath.normpath(path)}))


def read_lines(places: Sequence[tuple[str, str]]) -> Requirements:
    """Judge lines, each of which comes with its place.

    Raises:
        EnvironmentFileError: One cannot be used; the text names it.
    """
    lines: list[str] = []
    indexes: list[str] = []
    notes: list[str] = []
    replaced: list[str] = []
    for place, line in places:
        if index := _INDEX.fullmatch(line):
            indexes += ["--extra-index-url" if "extra" in index[1] else "--index-url", index[2]]
            notes += _about_password(place, index[2])
        elif not _ANYWAY.fullmatch(line):
            name = _name(place, line)
            instead = REPLACED.get(normal(name))
            if instead:
                notes.append(f"{name} is left out: {instead}")
                replaced.append(normal(name))
            else:
                lines.append(line)
    return Requirements(tuple(lines), tuple(indexes), tuple(notes), tuple(replaced))


def normal(name: str) -> str:
    """Return a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(line: str) -> str:
    """Return the name of the package that a line asks for, or "" if it is no requirement."""
    match = _REQUIREMENT.fullmatch(line)
    return match["name"] if match else ""


def _expanded(
    path: str, places: Sequence[tuple[str, str]], beside: Beside | None, seen: set[str]
) -> Iterator[tuple[str, str]]:
    for place, line in places:
        found = _OTHER_FILE.fullmatch(line)
        if not found:
            yield place, line
            continue
        name = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[1].strip()))
        if beside is None or name.startswith(("..", "/")) or ":" in name:
            raise EnvironmentFileError(
                f"{place}: {line!r:.120} names a file that does not lie in the scorer's folder",
                remedy="Put it there, or write its lines here.",
            )
        if name not in seen:  # Who is named again, or names who named it, has been read.
            seen.add(name)
            if len(seen) > MAX_FILES:
                raise EnvironmentFileError(f"{place}: more than {MAX_FILES} files name each other")
            yield from _expanded(name, numbered(name, beside(name)), beside, seen)


def _name(place: str, line: str) -> str:
    match = _REQUIREMENT.fullmatch(line) if len(line) <= _MAX_LINE else None
    if match:
        return match["name"]
    remedy = next((remedy for pattern, remedy in _WHY.items() if re.match(pattern, line)), _ELSE)
    raise EnvironmentFileError(
        f"{place}: {line!r:.120} is no package with a version", remedy=remedy
    )


def _about_password(place: str, url: str) -> list[str]:
    if "@" not in url.split("/")[2]:
        return []
    return [f"{place}: the index's address holds a login, and this file goes into the image"]
