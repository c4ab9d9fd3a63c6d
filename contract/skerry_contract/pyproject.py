"""What a ``pyproject.toml`` asks for: its dependencies, and extras and groups where they are named.

Sources: the PyPA's ``pyproject.toml`` specification, PEP 621, and PEP 735 for groups.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from skerry_contract.errors import EnvironmentFileError
from skerry_contract.requirement_lines import (
    NAME,
    PYTHON,
    Requirements,
    name_of,
    normal,
    read_lines,
)

_CHOICE = re.compile(rf"(?P<path>.+\.toml)\[(?P<names>\s*{NAME}(?:\s*,\s*{NAME})*\s*)\]")
_SPECIFIER = re.compile(r"(===|~=|==|!=|<=|>=|<|>)\s*(\d+(?:\.\d+)*)(?:\.\*)?")
_EXTRAS = re.compile(rf"{NAME}\s*\[([^\]]*)\]")
_REMEDY = 'Write [project] with dependencies = ["numpy==1.26.4"].'
_OTHERS = {
    "poetry": "'poetry export -o environment.txt' writes what it has in pip's form.",
    "pdm": "'pdm export -o environment.txt' writes what it has in pip's form.",
    "setuptools": f"{_REMEDY} Tables of setuptools are not read.",
}


def split_choice(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the path and the names in brackets of ``pyproject.toml[serve,extra]``.

    A text without brackets after ``.toml`` is a path as it is.
    """
    found = _CHOICE.fullmatch(text)
    if not found:
        return text, ()
    return found["path"], tuple(name.strip() for name in found["names"].split(","))


def from_pyproject(path: str, text: str, chosen: Sequence[str] = ()) -> Requirements:
    """Read the dependencies of a project, and those of the extras and groups that are named.

    Args:
        path: Its path, for errors.
        text: Its content.
        chosen: Names of extras or of dependency groups.

    Raises:
        EnvironmentFileError: It is no TOML, lists no dependencies, has no extra or group of a
            name, or a dependency that cannot be used.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise EnvironmentFileError(f"{path} is no TOML: {error}") from error
    project = document.get("project")
    groups = document.get("dependency-groups")
    if not isinstance(project, dict) or not isinstance(project.get("dependencies"), list):
        dynamic = isinstance(project, dict) and "dependencies" in (project.get("dynamic") or ())
        if dynamic or not (chosen and isinstance(groups, dict)):
            raise _no_list(path, document)
    reader = _Reader(path, project if isinstance(project, dict) else {}, groups)
    lines = [*reader.dependencies(), *(line for name in chosen for line in reader.named(name))]
    note = _about_python(project.get("requires-python") if isinstance(project, dict) else None)
    read = read_lines(list(dict.fromkeys(lines)))
    return replace(read, notes=(*note, *read.notes))


class _Reader:
    """Lines of a project with their places, each extra and group once."""

    def __init__(self, path: str, project: Mapping[str, Any], groups: Any) -> None:
        self._path = path
        self._name = normal(str(project.get("name") or ""))
        self._project = project
        self._extras = _by_name(path, "project.optional-dependencies", project)
        self._groups = _by_name(path, "dependency-groups", {"dependency-groups": groups})
        self._read: set[str] = set()

    def dependencies(self) -> Iterator[tuple[str, str]]:
        """Yield what the project needs in any case."""
        listed = self._project.get("dependencies", [])
        yield from self._lines("project.dependencies", listed)

    def named(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield what the extra or the group of a name adds."""
        key = normal(name)
        if key in self._extras and key in self._groups:
            raise EnvironmentFileError(
                f"{self._path} has an extra and a group {name!r:.60}",
                remedy="Give one of them another name, so that it is clear which is meant.",
            )
        if key in self._extras:
            yield from self._once(f"project.optional-dependencies.{key}", self._extras[key])
        elif key in self._groups:
            yield from self._once(f"dependency-groups.{key}", self._groups[key])
        else:
            there = ", ".join([*self._extras, *self._groups])
            raise EnvironmentFileError(
                f"{self._path} has no extra or group {name!r:.60}",
                remedy=f"It has: {there}." if there else "It has none at all.",
            )

    def _once(self, place: str, listed: Sequence[Any]) -> Iterator[tuple[str, str]]:
        if place not in self._read:  # They may name each other in a circle.
            self._read.add(place)
            yield from self._lines(place, listed)

    def _lines(self, place: str, listed: Sequence[Any]) -> Iterator[tuple[str, str]]:
        for number, item in enumerate(listed):
            where = f"{self._path}: {place}[{number}]"
            if isinstance(item, dict) and set(item) == {"include-group"}:
                yield from self.named(str(item["include-group"]))
            elif not isinstance(item, str):
                raise EnvironmentFileError(f"{where}: {item!r:.120} is no package", remedy=_REMEDY)
            elif self._name and normal(name_of(item.strip())) == self._name:
                # A project that names itself means its own extras.
                for extra in _extras_of(item):
                    yield from self.named(extra)
            else:
                yield where, item.strip()


def _extras_of(line: str) -> list[str]:
    found = _EXTRAS.match(line.strip())
    return [extra.strip() for extra in found[1].split(",") if extra.strip()] if found else []


def _by_name(path: str, place: str, document: Mapping[str, Any]) -> dict[str, list[Any]]:
    found = document.get(place.removeprefix("project."))
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(one, list) for one in found.values()):
        raise EnvironmentFileError(f"{path}: {place} does not hold lists", remedy=_REMEDY)
    return {normal(name): listed for name, listed in found.items()}


def _no_list(path: str, document: Mapping[str, Any]) -> EnvironmentFileError:
    tools = document.get("tool") or {}
    remedy = next((_OTHERS[tool] for tool in _OTHERS if tool in tools), _REMEDY)
    return EnvironmentFileError(f"{path} has no list project.dependencies", remedy=remedy)


def _about_python(wanted: Any) -> list[str]:
    """Say so if a project asks for a Python that is not that of modules."""
    if not isinstance(wanted, str) or all(map(_holds, wanted.split(","))):
        return []
    return [f"the project asks for Python {wanted:.60}; modules run on Python {PYTHON}"]


def _holds(specifier: str) -> bool:
    """Return whether the Python of modules satisfies one specifier; True for what nobody knows."""
    found = _SPECIFIER.fullmatch(specifier.strip())
    if not found:
        return True
    wanted = tuple(map(int, found[2].split(".")))
    # The base has some 3.11.x: compared as far as the specifier goes, two numbers at most.
    length = min(len(wanted), 2)
    ours, theirs = tuple(map(int, PYTHON.split(".")))[:length], wanted[:length]
    holds = {
        "==": ours == theirs,
        "===": ours == theirs,
        "!=": len(wanted) > 2 or ours != theirs,
        ">=": ours >= theirs,
        ">": ours >= theirs,
        "<=": ours < theirs or (ours == theirs and len(wanted) > 2),
        "<": ours < theirs or (ours == theirs and len(wanted) > 2),
        "~=": ours >= theirs and (len(wanted) < 3 or ours == theirs),
    }
    return holds[found[1]]
