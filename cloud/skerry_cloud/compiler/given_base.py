"""A base that is not Skerry's own: any image with Python 3.11 and the C library of the wheels.

Its layers stay as they are. Which Python it has is seen from its files, not from what it says.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.base import FOLDERS, USER_ID, USERS
from skerry_cloud.compiler.environment_file import PYTHON
from skerry_cloud.compiler.flatten import OPAQUE, flatten, inside
from skerry_cloud.compiler.layers import LayerShelf, LayerWriter
from skerry_cloud.compiler.platforms import PLATFORMS, Platform
from skerry_cloud.compiler.request import Base, BaseImage, Layer, Progress
from skerry_cloud.compiler.wheels import GLIBC
from skerry_contract.errors import EnvironmentFileError

_PYTHON = re.compile(r"python(3\.\d+)")
_FIRST = ("usr/local/bin", "usr/bin")
"""Where Python is looked for first, as ``PATH`` has it."""
_ELF_BYTES = 20
_LIBC = "libc.so.6"
_RELEASE = re.compile(rb"stable release version (\d+)\.(\d+)")
_MAX_USERS_BYTES = 1024 * 1024
_MAX_LIBC_BYTES = 32 * 1024 * 1024
PLACES = ("tmp", *FOLDERS.split())
"""Folders that a read-only root must have, for something is mounted or laid there."""
# What a module has of its own; if the base is a module, that of the base must not shine through.
_OURS = ("opt/skerry", "var/azureml-app")


def given_base(
    image: BaseImage,
    platform: Platform,
    blobs: BlobStore,
    shelf: LayerShelf,
    trees: Path,
    progress: Progress,
) -> Base:
    """Return the base that ``image`` is, with a small layer of mount points on top.

    Args:
        image: What was asked for.
        platform: Where it is to run.
        blobs: Where its layers are.
        shelf: Where layers are remembered.
        trees: Where unpacked layers are kept between builds.
        progress: Is told which Python it has.

    Raises:
        EnvironmentFileError: It has no Python, another one, one for another machine, or another
            C library.
        ContractError, DigestError: A layer is not what it should be.
        NotFoundError: A layer is not in the blob store.
    """
    tree = flatten(image.layers, blobs, trees)
    python = find_python(tree, image)
    _check_machine(inside(tree, python), platform, image)
    _check_libc(tree, image)
    _check_mount_points(tree, image)
    hidden = [place for place in _OURS if _holds_files(tree / place)]
    users = _users(tree)
    layers = (*image.layers, _mount_points(shelf, hidden, users))
    if hidden or users:
        tree = flatten(layers, blobs, trees)
    for place in PLACES:
        tree.joinpath(place).mkdir(parents=True, exist_ok=True)
    progress(f"the base {image.digest} has Python {PYTHON} at {python}")
    return Base(layers, python=python, tree=tree)


def find_python(tree: Path, image: BaseImage) -> str:
    """Return the path in the image of the Python that modules run with.

    Raises:
        EnvironmentFileError: There is none, or only others; the error names them.
    """
    found = sorted(_programs(tree), key=lambda one: (_rank(one), one))
    for path in found:
        if path.endswith(f"/python{PYTHON}"):
            return path
    remedy = f"Take a base with Python {PYTHON}, for which wheels are taken, or Skerry's own."
    if not found:
        raise EnvironmentFileError(f"the base {image.digest} has no Python", remedy=remedy)
    versions = ", ".join(f"{path.rpartition('/python')[2]} at {path}" for path in found[:5])
    raise EnvironmentFileError(
        f"the base {image.digest} has no Python {PYTHON}, but {versions}", remedy=remedy
    )


def _holds_files(folder: Path) -> bool:
    return any(names for _, _, names in os.walk(folder))


def _programs(tree: Path) -> Iterator[str]:
    for folder, _, names in os.walk(tree):
        if folder.endswith("/bin"):
            place = Path(folder).relative_to(tree)
            for name in filter(_PYTHON.fullmatch, names):
                if inside(tree, f"{place}/{name}").is_file():
                    yield f"/{place}/{name}"


def _rank(path: str) -> int:
    folder = path.strip("/").rpartition("/")[0]
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


def _check_machine(program: Path, platform: Platform, image: BaseImage) -> None:
    """Refuse an image whose Python is for another machine than the image says it is."""
    with program.open("rb") as file:
        header = file.read(_ELF_BYTES)
    if header[:4] != b"\x7fELF" or len(header) < _ELF_BYTES:
        return  # A script that starts it: the trial will tell.
    machine = int.from_bytes(header[18:20], "little")
    if machine != platform.elf_machine:
        is_for = next((one.name for one in PLATFORMS if one.elf_machine == machine), "others")
        raise EnvironmentFileError(
            f"the base {image.digest} says that it is for {platform.name}, and its Python is for "
            f"{is_for}",
            remedy="Its image was put together wrongly: take one that was made for the platform.",
        )


def _check_libc(tree: Path, image: BaseImage) -> None:
    """Refuse a base whose C library is older than that which wheels are taken for."""
    versions = [version for path in _libraries(tree) if (version := _release(path))]
    remedy = f"Take a base with the C library glibc 2.{GLIBC} or newer, such as Debian 12."
    if not versions:
        raise EnvironmentFileError(
            f"the base {image.digest} has no glibc, which wheels need", remedy=remedy
        )
    major, minor = max(versions)
    if (major, minor) < (2, GLIBC):
        raise EnvironmentFileError(
            f"the base {image.digest} has glibc {major}.{minor}, wheels are taken for 2.{GLIBC}",
            remedy=remedy,
        )


def _libraries(tree: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(tree):
        if _LIBC in names:
            path = inside(tree, f"{Path(folder).relative_to(tree)}/{_LIBC}")
            if path.is_file() and path.stat().st_size <= _MAX_LIBC_BYTES:
                yield path


def _release(path: Path) -> tuple[int, int] | None:
    found = _RELEASE.search(path.read_bytes())
    return (int(found[1]), int(found[2])) if found else None


def _check_mount_points(tree: Path, image: BaseImage) -> None:
    for place in PLACES:
        path = inside(tree, place)
        if path != tree / place or (path.exists() and not path.is_dir()):
            raise EnvironmentFileError(
                f"in the base {image.digest}, /{place} is no folder or lies behind a link",
                remedy="Take a base where it is a folder: modules have their parts there.",
            )


def _users(tree: Path) -> dict[str, str]:
    """Return the lists of users and groups, with what modules run as where that has no name yet.

    Programs ask for the name of who they are, and some end where there is none.
    """
    added = {}
    for path, line in USERS.items():
        file = inside(tree, path)
        text = ""
        if file.is_file() and file.stat().st_size <= _MAX_USERS_BYTES:
            text = file.read_text("utf-8", "surrogateescape")
        elif file != tree / path or file.exists():
            continue
        if not re.search(rf"^[^:\n]*:[^:\n]*:{USER_ID}:", text, re.MULTILINE):
            added[path] = (text if not text or text.endswith("\n") else f"{text}\n") + line
    return added


def _mount_points(shelf: LayerShelf, hidden: Sequence[str], users: Mapping[str, str]) -> Layer:
    """Return the layer with the folders that a read-only root must have, and its user's name.

    Args:
        shelf: Where layers are remembered.
        hidden: Folders of which nothing of the base may show.
        users: Files with the name of who modules run as.
    """

    def fill(layer: LayerWriter) -> None:
        layer.folder("tmp", mode=0o1777)
        for folder in PLACES:
            layer.folder(folder)
        for folder in hidden:
            layer.data(f"{folder}/{OPAQUE}", b"")
        for path, text in users.items():
            layer.data(path, text.encode("utf-8", "surrogateescape"))

    digest = hashlib.sha256(repr(sorted(users.items())).encode("utf-8", "surrogateescape"))
    facts = ["mount points", PLACES, hidden, digest.hexdigest()]
    return shelf.layer("base", "mount points", facts, fill)
