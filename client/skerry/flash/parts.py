"""The code that goes to a device: found where it is installed here, without importing it."""

import importlib.util
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from skerry_contract.errors import NotFoundError, SkerryError

PACKAGES = ("skerry_agent", "skerry_contract", "paho")
"""Top-level packages that an agent consists of, all of them pure Python."""
_LICENSED = "paho-mqtt"


def copy_packages(target: Path) -> None:
    """Copy the agent and what it imports to the folder ``target``, which is made.

    Raises:
        NotFoundError: A package is not installed here.
        SkerryError: A package holds compiled code, which would fit one kind of machine only.
    """
    target.mkdir(parents=True)
    for name in PACKAGES:
        shutil.copytree(_find(name), target / name, ignore=_left_out)
    for path in target.rglob("*.so"):
        raise SkerryError(f"{path.name} is compiled code and cannot go to another machine")
    for name, text in _licences():
        (target / "paho" / name).write_text(text, "utf-8")


def _find(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise NotFoundError(
            f"the package {name} is not installed here, and a device needs it",
            remedy="Install Skerry anew, with its extra 'client' or 'cloud'.",
        )
    return Path(places[0])


def _left_out(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "__pycache__" or name.endswith(".pyc")}


def _licences() -> Iterator[tuple[str, str]]:
    """Yield the licence files of what others wrote: copies of it must carry them."""
    for file in metadata.files(_LICENSED) or ():
        if "licenses" in file.parts or file.name.upper().startswith(("LICENSE", "NOTICE")):
            yield file.name, file.read_text("utf-8")
