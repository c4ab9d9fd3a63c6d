"""The run folder: what the agent puts there, and how both sides reach the sockets in it.

See ``docs/module-image.md`` for what each file is.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skerry_contract import shape
from skerry_contract.manifest import FolderInput, Input, RunSettings

VARIABLE = "SKERRY_RUN_DIR"
"""Environment variable that tells a module where its run folder is."""
IN_CONTAINER = "/run/skerry"
"""Where the run folder is for a module with a root of its own."""
INPUTS_IN_CONTAINER = "/inputs"
"""Below it lie the input folders, by name, for a module with a root of its own."""

DATA = ".data"
"""What the folder for collected data is called among the inputs; no input has such a name."""

_LEFTOVERS = ("host.sock", "failure.json", "settings.json")
"""What an earlier run of the same instance leaves behind."""


def write_settings(run_dir: Path, run: RunSettings, folders: Mapping[str, str]) -> None:
    """Make a run folder ready for a start.

    Args:
        run_dir: The run folder; made if it is missing.
        run: How the module runs.
        folders: Where the module finds the folder of each input, by the input's name.

    Raises:
        OSError: The disk refused.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    for name in _LEFTOVERS:
        (run_dir / name).unlink(missing_ok=True)
    inputs = {name: _told(given, folders[name]) for name, given in run.inputs.items()}
    settings: dict[str, Any] = {"inputs": inputs, "stream": run.stream}
    if run.data is not None:
        settings["data"] = {**shape.write(run.data), "folder": folders[DATA]}
    # "x" after removing it: an earlier run may have left a link here that leads out of the folder.
    with (run_dir / "settings.json").open("xb") as file:
        file.write(shape.dump(settings))
        os.fchmod(file.fileno(), 0o644)


def input_folder(inputs: Path, module: str, name: str, given: Input) -> Path:
    """Return the device's folder of an input: one that is no folder has one for what failed.

    Args:
        inputs: The device's folder of local input.
        module: Name of the module.
        name: Name of the input.
        given: What the manifest says of it.
    """
    if isinstance(given, FolderInput):
        return inputs / given.folder
    # No manifest can name such a folder, so no input reads it.
    return inputs / f".{module}" / name


def open_to(folder: Path, user: str) -> None:
    """Let a module's user work in a folder, and take nothing from whoever owns it.

    Where the agent may, by the folder's group, which files in it inherit; else for everybody, and
    then it is the folders above that keep others out.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    if os.geteuid() == 0:
        os.chown(folder, -1, int(user.partition(":")[2]))
        folder.chmod(mode | 0o2070)
    elif mode & 0o007 != 0o007:
        folder.chmod(mode | 0o007)


def _told(given: Input, folder: str) -> dict[str, Any]:
    told: dict[str, Any] = shape.write(given)
    key = "folder" if isinstance(given, FolderInput) else "aside"
    return {**told, key: folder}
