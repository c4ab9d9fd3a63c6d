"""What an environment file asks for, as plain requirements: pip's form, conda's, or a project's.

Only names and versions are taken from them. What would make whoever installs it run or fetch
something of the author's choice (folders, URLs, repositories, other files) is refused, with its
line. The server that compiles modules and the SDK that tries them on a laptop both read them here,
so that they agree; parsing YAML is their own business.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skerry_contract.conda_names import LEFT_OUT, OF_THE_SYSTEM, OTHER_NAMES, REPLACED
from skerry_contract.errors import EnvironmentFileError

PYTHON = "3.11"
"""The Python of the base."""

_MAX_LINE = 2000
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?:\[[A-Za-z0-9._,\s-]*\])?\s*"
    r"(?:\(?\s*(?:(?:===|[<>=!~]=|[<>])\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*\)?)\s*"
    r"(?:;[^;]+)?(?:\s--hash=sha256:[0-9a-f]{64})*"
)
_INDEX = re.compile(r"(-i|--index-url|--extra-index-url)[\s=]\s*(https://[^\s\"']+)")
_CONDA = re.compile(rf"(?:(?P<channel>[\w./-]+)::)?(?P<name>{_NAME})\s*(?P<version>[^\s].*)?")
_CONDA_EXACT = re.compile(r"(?P<op>={1,2})\s*(?P<version>[\w.*+!]+)(?:=[\w.*]+)?")
_CONDA_RANGE = re.compile(r"[<>=!~]=?[\w.*+!]+(?:,[<>=!~]=?[\w.*+!]+)*")
_CHANNELS = frozenset({"defaults", "conda-forge", "anaconda", "main", "nodefaults"})


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an environment asks for.

    Attributes:
        lines: Requirements in pip's form.
        indexes: Options that name package indexes, for uv.
        notes: What was left out or changed, in words for its author.
    """

    lines: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def from_pip(path: str, text: str) -> Requirements:
    """Read a requirements file in pip's form.

    Args:
        path: Its path, for errors.
        text: Its content.

    Raises:
        EnvironmentFileError: It has a line that cannot be used, which is named.
    """
    numbered = _joined_lines(text)
    return _read_lines([(f"{path}:{number}", line) for number, line in numbered])


def from_lines(place: str, lines: Sequence[str]) -> Requirements:
    """Read requirements that stand in a list, such as ``["numpy==1.26.4", "pillow"]``.

    Args:
        place: Where the list stands, for errors.
        lines: The requirements.

    Raises:
        EnvironmentFileError: One of them cannot be used, which is named.
    """
    return _read_lines([(f"{place}[{i}]", str(line).strip()) for i, line in enumerate(lines)])


def from_conda(path: str, document: Any) -> Requirements:
    """Read a conda environment.

    Args:
        path: Where it stands, for errors.
        document: What a YAML parser made of it.

    Raises:
        EnvironmentFileError: It has an entry that cannot be used, which is named.
    """
    if not isinstance(document, dict) or not isinstance(document.get("dependencies", []), list):
        raise EnvironmentFileError(f"{path} has no list 'dependencies'", remedy=_CONDA_REMEDY)
    channels = document.get("channels") or []
    if not isinstance(channels, list):
        raise EnvironmentFileError(f"{path}: channels is no list", remedy=_CONDA_REMEDY)
    for channel in channels:
        if channel not in _CHANNELS:
            raise _foreign_channel(path, channel)
    lines: list[tuple[str, str]] = []
    notes: list[str] = []
    for number, item in enumerate(document.get("dependencies", [])):
        place = f"{path}: dependencies[{number}]"
        if isinstance(item, dict) and list(item) == ["pip"] and isinstance(item["pip"], list):
            lines += [(f"{place}.pip[{i}]", str(line)) for i, line in enumerate(item["pip"])]
        else:
            line, note = _from_conda(place, item)
            notes += [note] if note else []
            lines += [(place, line)] if line else []
    read = _read_lines(lines)
    return Requirements(read.lines, read.indexes, (*notes, *read.notes))


def from_pyproject(path: str, text: str) -> Requirements:
    """Read the dependencies of a ``pyproject.toml``, those of its extras left out.

    Raises:
        EnvironmentFileError: It is no TOML, lists no dependencies, or one cannot be used.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentFileError(f"{path} is no TOML: {error}") from error
    project = document.get("project")
    listed = project.get("dependencies") if isinstance(project, dict) else None
    if not isinstance(listed, list):
        raise EnvironmentFileError(
            f"{path} has no list project.dependencies",
            remedy='Write [project] with dependencies = ["numpy==1.26.4"].',
        )
    return from_lines(f"{path}: project.dependencies", listed)


def _joined_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines with their numbers, joined where a backslash asks for it."""
    found: list[tuple[int, str]] = []
    pending = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        start = found.pop()[0] if pending else number
        line = f"{pending} {line}".strip()
        pending = line.removesuffix("\\").strip() if line.endswith("\\") else ""
        found.append((start, pending or line))
    return [(number, line) for number, line in found if line]


def _read_lines(places: list[tuple[str, str]]) -> Requirements:
    lines: list[str] = []
    indexes: list[str] = []
    notes: list[str] = []
    for place, line in places:
        index = _INDEX.fullmatch(line)
        if index:
            option = "--extra-index-url" if "extra" in index[1] else "--index-url"
            indexes += [option, index[2]]
            continue
        match = _REQUIREMENT.fullmatch(line) if len(line) <= _MAX_LINE else None
        if match is None:
            raise EnvironmentFileError(
                f"{place}: {line!r:.120} is no package with a version",
                remedy="Write lines such as 'numpy==1.26.4'; files and URLs are not taken.",
            )
        instead = REPLACED.get(_normal(match["name"]))
        if instead:
            notes.append(f"{match['name']} is left out: {instead}")
            continue
        lines.append(line)
    return Requirements(tuple(lines), tuple(indexes), tuple(notes))


def _from_conda(place: str, item: Any) -> tuple[str, str]:
    """Return the requirement that a conda dependency stands for, and what to say about it."""
    match = _CONDA.fullmatch(item.strip()) if isinstance(item, str) else None
    if match is None:
        raise EnvironmentFileError(f"{place}: {item!r:.120} is no package", remedy=_CONDA_REMEDY)
    if match["channel"] and match["channel"] not in _CHANNELS:
        raise _foreign_channel(place, match["channel"])
    name, version = match["name"].lower(), _conda_version(place, match["version"] or "")
    if name == "python":
        return "", _about_python(version)
    if name in LEFT_OUT:
        return "", LEFT_OUT[name] and f"{name} is left out: {LEFT_OUT[name]}"
    if name in OF_THE_SYSTEM:
        raise EnvironmentFileError(
            f"{place}: {name} is no Python package", remedy=OF_THE_SYSTEM[name]
        )
    other = OTHER_NAMES.get(name, name)
    return other + version, f"{name} is called {other} here" if other != name else ""


def _conda_version(place: str, text: str) -> str:
    """Return conda's version as pip writes it: ``=1.2`` is ``==1.2.*``, builds are dropped."""
    text = text.strip()
    if re.fullmatch(r"[\d][\w.*+!]*(\s+[\w.*]+)?", text):
        text = f"={text.split()[0]}"
    exact = _CONDA_EXACT.fullmatch(text)
    if exact:
        version = exact["version"]
        is_whole = exact["op"] == "==" or version.endswith("*")
        return f"=={version}" if is_whole else f"=={version}.*"
    compact = text.replace(" ", "")
    if compact in ("", "*"):
        return ""
    if _CONDA_RANGE.fullmatch(compact):
        return compact
    raise EnvironmentFileError(f"{place}: {text!r:.60} is no version", remedy=_CONDA_REMEDY)


def _about_python(version: str) -> str:
    wanted = re.sub(r"^==|\.\*$", "", version)
    if not wanted or wanted == PYTHON or wanted.startswith(f"{PYTHON}."):
        return ""
    return f"the environment asks for Python {wanted}; modules run on Python {PYTHON}"


def _foreign_channel(place: str, channel: Any) -> EnvironmentFileError:
    return EnvironmentFileError(
        f"{place}: the conda channel {str(channel)!r:.60} cannot be used; conda packages are "
        "taken from the Python package index by their name",
        remedy="Name the package under 'pip:' if it is there as well.",
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


_CONDA_REMEDY = "Write 'dependencies:' with entries such as '- numpy=1.26' and '- pip: [pillow]'."
