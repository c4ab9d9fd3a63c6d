"""Where an image goes on disk: which form, which place, and what may be replaced there."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from skerry.durable import check_writable, sync_folder
from skerry_contract.errors import ConflictError, NameInvalidError

Form = Literal["oci", "docker-archive", "dockerfile"]
FORMS = ("oci", "docker-archive", "dockerfile")
_MARKS = {"oci": "oci-layout", "dockerfile": "Dockerfile"}
_ENTRIES = {
    "oci": {"oci-layout", "index.json", "blobs"},
    "dockerfile": {
        "Dockerfile",
        "environment.lock",
        "azureml-app",
        "azureml-models",
        "layers",
    },
}


@dataclass(frozen=True, slots=True)
class Target:
    """One place on disk.

    Attributes:
        form: In which form the image goes there.
        path: Folder, or file for ``docker-archive``.
    """

    form: Form
    path: Path

    def __str__(self) -> str:
        return f"{self.form}:{self.path}"


def parse_target(text: str) -> Target:
    """Read ``oci:DIR``, ``docker-archive:FILE`` or ``dockerfile:DIR``.

    Raises:
        NameInvalidError: It is spelled otherwise.
    """
    form, colon, path = text.partition(":")
    if form not in FORMS or not colon or not path:
        raise NameInvalidError(
            f"{text!r:.100} names no form and place",
            remedy="Use oci:DIR, docker-archive:FILE or dockerfile:DIR.",
        )
    return Target(cast("Form", form), Path(path))


@contextmanager
def new_folder(target: Target, *, force: bool) -> Iterator[Path]:
    """Yield a folder that becomes the target when the block ends well, whole or not at all.

    Raises:
        ConflictError: Something is there already that may not be replaced.
        OSError: The disk said no.
    """
    check_target(target, force=force)
    path = target.path.absolute()
    check_writable(path.parent)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield made
        made.chmod(0o755)
        # Writing takes a while, and somebody may have used the place meanwhile.
        check_target(target, force=force)
        if path.exists():
            shutil.rmtree(path)
        made.replace(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check_target(target: Target, *, force: bool) -> None:
    """Raise ConflictError unless the place is free, or ``force`` may replace what is there."""
    path = target.path
    if not path.is_symlink() and not path.exists():
        return
    if target.form != "docker-archive" and path.is_dir() and not any(path.iterdir()):
        return
    if not force:
        raise ConflictError(
            f"{path} exists already",
            remedy="Name another place, or add --force if an earlier export made it.",
        )
    if path.is_symlink() or not _is_ours(target):
        raise ConflictError(
            f"{path} was not made by an export, so --force does not replace it",
            remedy="Name another place, or remove it yourself; nothing was changed.",
        )


def _is_ours(target: Target) -> bool:
    if target.form == "docker-archive":
        return target.path.is_file()
    if not target.path.is_dir():
        return False
    found = {path.name for path in target.path.iterdir()}
    return _MARKS[target.form] in found and found <= _ENTRIES[target.form]
