"""Which wheels the package index has of a package, and which of them fit a platform.

Asked only when resolving has failed, to name what there is instead of a resolver's reasoning.
Sources: the simple repository API in JSON (PEP 691), wheel file names (PEP 427), ``manylinux``
tags (PEP 600).
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import requests

from skerry_cloud.compiler.platforms import Platform
from skerry_contract.conda_names import MISNAMED

MAX_BYTES = 64 * 1024 * 1024
"""Longest answer of an index that is read."""

_TIMEOUT_S = 20.0
_MOST_NAMES = 3
_MOST_VERSIONS = 8
_NAME = r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
_RANGE = r"(?:\[[^\]]*\])?(?:[<>=!~,][^ ]*)?"
_BLAMED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_NAME}{_RANGE} has no (?:usable wheels|wheels with a matching)",
        rf"all versions of {_NAME} have no ",
        rf"there (?:is|are) no versions? of {_NAME}",
        rf"only (?:the following versions of )?{_NAME}{_RANGE} (?:is|are) available",
        rf"{_NAME} was not found in the package registry",
    )
)
_OF_LINUX = re.compile(r"(?:many)?linux(?:\d+)?_(?:\d+_\d+_)?([a-z]\w+)")
_LIBC = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
_PRE_RELEASE = re.compile(r"\d(?:a|b|rc|\.?dev)\d")
_OLD_LIBC = ("manylinux1", "manylinux2010", "manylinux2014")
GLIBC = 36
"""The base has the C library 2.36."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """What a wheel's file name says.

    Attributes:
        version: Version of the package.
        pythons: Tags of Python versions, such as ``cp311``.
        abis: Tags of binary interfaces, such as ``abi3``.
        platforms: Tags of platforms, such as ``manylinux_2_17_aarch64``.
    """

    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]


def blamed(output: str) -> list[str]:
    """Return the packages, three at most, that uv could not find a version of."""
    found = (match for pattern in _BLAMED for match in pattern.finditer(output))
    names = [match[1] for match in sorted(found, key=lambda match: match.start())]
    return list(dict.fromkeys(names))[:_MOST_NAMES]


def read_wheel(filename: str) -> Wheel | None:
    """Return what ``filename`` says, or None if it is no wheel's."""
    parts = filename.removesuffix(".whl").split("-")
    if not filename.endswith(".whl") or len(parts) not in (5, 6):
        return None
    pythons, abis, platforms = (tuple(part.split(".")) for part in parts[-3:])
    return Wheel(parts[1], pythons, abis, platforms)


def fits(wheel: Wheel, platform: Platform, python: str) -> bool:
    """Return whether a wheel can be installed for a platform.

    Args:
        wheel: What its name says.
        platform: Where it is to run.
        python: Version of the Python there, such as ``3.11``.
    """
    is_there = any(_platform_fits(tag, platform) for tag in wheel.platforms)
    return is_there and any(_python_fits(tag, wheel.abis, python) for tag in wheel.pythons)


def describe(name: str, wheels: Sequence[Wheel], platform: Platform, python: str) -> str:
    """Return in one sentence which versions of a package there are for a platform."""
    target = f"Python {python} on {platform.name}"
    fitting = _versions(wheel.version for wheel in wheels if fits(wheel, platform, python))
    if fitting:
        return f"{name} has wheels for {target} in these versions: {_listed(fitting)}"
    if not wheels:
        return f"{name} has no wheels at all, only sources, which are not built here{meant(name)}"
    newest = _versions(wheel.version for wheel in wheels)[0]
    tags = [wheel for wheel in wheels if wheel.version == newest]
    pythons = _versions(tag for wheel in tags for tag in wheel.pythons)
    platforms = {tag for wheel in tags for tag in wheel.platforms}
    machines = sorted(_machine(tag) for tag in platforms if _OF_LINUX.fullmatch(tag))
    machines = list(dict.fromkeys(machines)) or sorted(platforms)
    return (
        f"{name} has no wheel for {target} in any version; the newest, {newest}, has them for "
        f"{_listed(pythons)} on {', '.join(machines)}"
    )


def meant(name: str) -> str:
    """Return what to add where people often write a package's import for its name."""
    found = MISNAMED.get(name.lower())
    return f"; perhaps {found} is meant" if found else ""


def ask_index(url: str, name: str) -> list[Wheel] | None:
    """Return the wheels that an index has of a package, or None if it has no such package.

    Args:
        url: Address of the index.
        name: Name of the package.

    Raises:
        OSError: The index is out of reach, or its answer is none of PEP 691.
    """
    address = f"{url.rstrip('/')}/{re.sub(r'[-_.]+', '-', name).lower()}/"
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    with requests.get(address, headers=accept, timeout=_TIMEOUT_S, stream=True) as answer:
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        data = b""
        for chunk in answer.iter_content(1024 * 1024):
            data += chunk
            if len(data) > MAX_BYTES:
                raise OSError(f"{address} answers more than {MAX_BYTES} bytes")
    try:
        names = [str(file["filename"]) for file in json.loads(data)["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(f"{address} does not answer in JSON") from error
    return [wheel for wheel in map(read_wheel, names) if wheel]


def _platform_fits(tag: str, platform: Platform) -> bool:
    if tag == "any":
        return True
    machine = platform.machines[0]
    libc = _LIBC.fullmatch(tag)
    if libc:
        return libc[3] == machine and (int(libc[1]), int(libc[2])) <= (2, GLIBC)
    return tag in (f"linux_{machine}", *(f"{old}_{machine}" for old in _OLD_LIBC))


def _python_fits(tag: str, abis: Sequence[str], python: str) -> bool:
    major, _, minor = python.partition(".")
    own = f"cp{major}{minor}"
    if tag in (f"py{major}", f"py{major}{minor}"):
        return "none" in abis
    if tag == own:
        return not {own, "abi3", "none"}.isdisjoint(abis)
    older = re.fullmatch(rf"cp{major}(\d+)", tag)
    return older is not None and "abi3" in abis and int(older[1]) <= int(minor)


def _machine(tag: str) -> str:
    found = _OF_LINUX.fullmatch(tag)
    return found[1] if found else tag


def _versions(found: Iterable[str]) -> list[str]:
    """Return versions or tags once each, the newest first, pre-releases only for want of others."""
    every = sorted(set(found), key=_numbers, reverse=True)
    return [version for version in every if not _PRE_RELEASE.search(version)] or every


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def _listed(words: Sequence[str]) -> str:
    rest = len(words) - _MOST_VERSIONS
    older = f" and {rest} older ones, down to {words[-1]}" if rest > 0 else ""
    return ", ".join(words[:_MOST_VERSIONS]) + older
