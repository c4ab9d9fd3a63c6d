"""What an environment file asks for, as plain requirements: pip's form, conda's, or a project's.

The server that compiles modules and the SDK that tries them on a laptop both read them here, so
that they agree; parsing YAML is their own business. Conda's packages are taken from the Python
package index by their name, so its channels only tell what its author meant.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from skerry_contract.conda_names import LEFT_OUT, LIBRARIES, OF_THE_SYSTEM, OTHER_NAMES
from skerry_contract.errors import EnvironmentFileError
from skerry_contract.requirement_lines import (
    NAME,
    PYTHON,
    Beside,
    Requirements,
    name_of,
    normal,
    numbered,
    read_lines,
    with_files,
)

__all__ = ["PYTHON", "Requirements", "from_conda", "from_lines", "from_pip", "with_schema_package"]

_CONDA = re.compile(rf"(?:(?P<channel>[\w./:-]+)::)?(?P<name>_?{NAME})\s*(?P<version>[^\s].*)?")
_CONDA_EXACT = re.compile(r"(?P<op>={1,2})\s*(?P<version>[\w.*+!]+)(?:=[\w.*]+)?")
_CONDA_RANGE = re.compile(r"[<>=!~]=?[\w.*+!]+(?:,[<>=!~]=?[\w.*+!]+)*")
_PUBLIC = (
    "anaconda bioconda conda-forge defaults fastai free huggingface intel main microsoft msys2 "
    "nodefaults nvidia pytorch r"
)
_CHANNELS = frozenset(_PUBLIC.split())
"""Public channels: what they have is on the package index too, by its name, or is no Python."""
_CHANNEL = re.compile(
    r"(?:https://(?:repo\.anaconda\.com|conda\.anaconda\.org)/)?(?:pkgs/)?([\w-]+)"
    r"(?:/(?:linux-64|linux-aarch64|noarch))?/?"
)
_SCHEMA_PACKAGE = "inference-schema"
_SCHEMA_LINE = f"{_SCHEMA_PACKAGE}>=1.8,<2"
_USES_SCHEMA = re.compile(r"^\s*(?:from|import)\s+inference_schema\b", re.MULTILINE)
_BRING_SCHEMA = frozenset({"azureml-defaults", "azureml-inference-server-http", "azureml-sdk"})


def from_pip(path: str, text: str, beside: Beside | None = None) -> Requirements:
    """Read a requirements file in pip's form.

    Args:
        path: Its path, for errors and for the files that it names.
        text: Its content.
        beside: Gives the files that it names by ``-r``.

    Raises:
        EnvironmentFileError: It has a line that cannot be used, which is named.
    """
    return read_lines(with_files(path, numbered(path, text), beside))


def from_lines(place: str, lines: Sequence[str]) -> Requirements:
    """Read requirements that stand in a list, such as ``["numpy==1.26.4", "pillow"]``.

    Args:
        place: Where the list stands, for errors.
        lines: The requirements.

    Raises:
        EnvironmentFileError: One of them cannot be used, which is named.
    """
    return read_lines([(f"{place}[{i}]", str(line).strip()) for i, line in enumerate(lines)])


def from_conda(path: str, document: Any, beside: Beside | None = None) -> Requirements:
    """Read a conda environment.

    Args:
        path: Where it stands, for errors and for the files that it names.
        document: What a YAML parser made of it.
        beside: Gives the files that it names by ``-r``.

    Raises:
        EnvironmentFileError: It has an entry that cannot be used, which is named.
    """
    if not isinstance(document, dict) or not isinstance(document.get("dependencies"), list):
        raise EnvironmentFileError(f"{path} has no list 'dependencies'", remedy=_CONDA_REMEDY)
    _check_channels(path, document.get("channels") or [])
    lines: list[tuple[str, str]] = []
    notes: list[str] = []
    left_out: list[str] = []
    for number, item in enumerate(document["dependencies"]):
        place = f"{path}: dependencies[{number}]"
        if isinstance(item, dict) and list(item) == ["pip"] and isinstance(item["pip"], list):
            listed = [(f"{place}.pip[{i}]", str(line)) for i, line in enumerate(item["pip"])]
            lines += with_files(path, listed, beside)
            continue
        name, line, note = _from_conda(place, item)
        left_out += [name] if name in LIBRARIES else []
        notes += [note] if note else []
        lines += [(place, line)] if line else []
    if left_out:
        notes.append(f"left out, for wheels bring what they need of it: {', '.join(left_out)}")
    read = read_lines(lines)
    return replace(read, notes=(*notes, *read.notes))


def with_schema_package(read: Requirements, sources: Iterable[str]) -> Requirements:
    """Add ``inference-schema`` where a package that brings it was left out and a script wants it.

    Args:
        read: What the environment file says.
        sources: Texts of the scorer's Python files.
    """
    named = {normal(name_of(line)) for line in read.lines}
    if _BRING_SCHEMA.isdisjoint(read.replaced) or _SCHEMA_PACKAGE in named:
        return read
    if not any(_USES_SCHEMA.search(source) for source in sources):
        return read
    bringer = next(name for name in read.replaced if name in _BRING_SCHEMA)
    note = f"{_SCHEMA_PACKAGE} is added, which {bringer} would have brought"
    return replace(read, lines=(*read.lines, _SCHEMA_LINE), notes=(*read.notes, note))


def _check_channels(path: str, channels: Any) -> None:
    if not isinstance(channels, list):
        raise EnvironmentFileError(f"{path}: channels is no list", remedy=_CONDA_REMEDY)
    for channel in channels:
        if not _is_known(channel):
            raise _foreign_channel(path, channel)


def _is_known(channel: Any) -> bool:
    match = _CHANNEL.fullmatch(channel) if isinstance(channel, str) else None
    return match is not None and match[1] in _CHANNELS


def _from_conda(place: str, item: Any) -> tuple[str, str, str]:
    """Return a conda dependency's name, the requirement it stands for, and what to say of it."""
    match = _CONDA.fullmatch(item.strip()) if isinstance(item, str) else None
    if match is None:
        raise EnvironmentFileError(f"{place}: {item!r:.120} is no package", remedy=_CONDA_REMEDY)
    if match["channel"] and not _is_known(match["channel"]):
        raise _foreign_channel(place, match["channel"])
    name, version = match["name"].lower(), _conda_version(place, match["version"] or "")
    if name == "python":
        return name, "", _about_python(version)
    if name in LIBRARIES:
        return name, "", ""
    if name in LEFT_OUT:
        return name, "", LEFT_OUT[name] and f"{name} is left out: {LEFT_OUT[name]}"
    if name in OF_THE_SYSTEM:
        raise EnvironmentFileError(
            f"{place}: {name} is no Python package", remedy=OF_THE_SYSTEM[name]
        )
    other = OTHER_NAMES.get(name, name)
    note = f"{name} is called {other} here" if other != name else ""
    return name, other + version, note


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


_CONDA_REMEDY = "Write 'dependencies:' with entries such as '- numpy=1.26' and '- pip: [pillow]'."
