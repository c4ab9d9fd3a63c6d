"""The whole way from a build request to an image in the blob store."""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import content, entry_script, environment_file
from skerry_cloud.compiler.base import base_layer, python_packages
from skerry_cloud.compiler.environment import Tools, environment_layer, find_uv
from skerry_cloud.compiler.environment_file import Requirements, read_environment
from skerry_cloud.compiler.given_base import given_base
from skerry_cloud.compiler.image import store_image
from skerry_cloud.compiler.layers import SCRATCH, LayerShelf
from skerry_cloud.compiler.platforms import Platform, find_platform
from skerry_cloud.compiler.reports import store_reports
from skerry_cloud.compiler.request import (
    Base,
    BuildRequest,
    Checked,
    Image,
    Layer,
    Progress,
    check_request,
)
from skerry_cloud.compiler.trial import find_how, try_module
from skerry_contract.environment import with_schema_package
from skerry_contract.errors import ConflictError, EnvironmentFileError
from skerry_contract.pyproject import split_choice


@dataclass(frozen=True, slots=True)
class _Place:
    """One build: what to make, and where."""

    request: BuildRequest
    blobs: BlobStore
    caches: Path
    progress: Progress


def compile_module(
    request: BuildRequest,
    blobs: BlobStore,
    caches: Path,
    progress: Progress,
    *,
    host: Path | None = None,
) -> Image:
    """Make an image of what ``request`` names; the same request gives the same digest.

    What fails leaves layers in the blob store at most: an image is there whole or not at all.

    Args:
        request: What to compile.
        blobs: Where the files are, and where the image goes.
        caches: Folder for what makes the next build fast; one build at a time may use it, and
            losing it costs only time.
        progress: Is told in one line what happens now.
        host: Folder of the scorer host's package; by default the one that is installed.

    Raises:
        ConflictError: Another build is using ``caches``.
        ScorerError: The entry script cannot work; ``InitFailedError`` if its ``init()`` raised.
        GoldenError: The module answers its golden set differently.
        EnvironmentFileError: The environment cannot be read or resolved for the platform, or a
            given base has not the Python or the C library that wheels need.
        DigestError: A layer of a given base is not what its config promises.
        ModelError, NameInvalidError: A name or path cannot be used.
        NotFoundError: Bytes of a file are not in the blob store.
        NetworkError: Debian or the package index is out of reach.
        NoSpaceError: The disk is full.
        RuntimeFailedError: A program that is needed is missing here, or took too long.
    """
    check_request(request)
    host = host or content.find_host()
    platform = find_platform(request.platform)
    entry_script.check_entry_script(request.entry_script, request.files, blobs)
    wanted = _requirements(request, blobs)
    for note in wanted.notes:
        progress(note)
    place = _Place(request, blobs, caches, progress)
    with _alone(caches):
        base = _base(place, platform, LayerShelf(caches / "layers", blobs))
        layers = [*base.layers, *_layers(place, platform, wanted, host, base)]
        reports = store_reports(request, layers, blobs, caches / "inventories", base.tree)
        image = store_image(request, platform, layers, reports, blobs, python=base.python)
        image = replace(image, checked=_check(place, platform, image, base))
    progress(f"{request.reference} for {platform.name} is {image.digest}")
    return image


def _check(place: _Place, platform: Platform, image: Image, base: Base) -> Checked:
    """Try the image, if that was asked for and can be done here; say what became of it."""
    if not place.request.check_init:
        return "not-asked"
    how = find_how(platform, base)
    if how is None and platform.is_here:
        place.progress(
            "init() was not tried: on a base that is not Skerry's, it runs only under bubblewrap"
        )
        return "no-sandbox"
    if how is None:
        place.progress(
            f"init() was not tried: {platform.name} does not run on this machine; "
            f"with qemu-user-static and bubblewrap it would"
        )
        return "no-emulator"
    trees = place.caches / "trees"
    return try_module(place.request, image, place.blobs, trees, place.progress, how=how)


def _requirements(request: BuildRequest, blobs: BlobStore) -> Requirements:
    if not request.environment:
        return Requirements()
    files = {file.path: file for file in request.files}

    def beside(path: str) -> str:
        if path not in files:
            raise EnvironmentFileError(
                f"there is no {path!r:.200} among the scorer's files",
                remedy="Name the environment file by its path inside the scorer's folder.",
            )
        data = blobs.read(files[path].digest, limit=environment_file.MAX_BYTES)
        return environment_file.as_text(path, data)

    path, _ = split_choice(request.environment)
    read = read_environment(request.environment, beside(path).encode(), beside)
    return with_schema_package(read, _sources(request, blobs))


def _sources(request: BuildRequest, blobs: BlobStore) -> Iterator[str]:
    """Yield the scorer's Python files, as far as they are of a size that people write."""
    for file in request.files:
        if file.path.endswith(".py") and file.size <= entry_script.MAX_BYTES:
            yield blobs.read(file.digest, limit=entry_script.MAX_BYTES).decode("utf-8", "replace")


def _base(place: _Place, platform: Platform, shelf: LayerShelf) -> Base:
    caches, progress = place.caches, place.progress
    if place.request.base is not None:
        trees = caches / "trees"
        return given_base(place.request.base, platform, place.blobs, shelf, trees, progress)
    layer = base_layer(platform, shelf, caches / "base", progress, now=time.time())
    return Base((layer,), python_packages(platform, caches / "base"))


def _layers(
    place: _Place, platform: Platform, wanted: Requirements, host: Path, base: Base
) -> list[Layer]:
    request, blobs, caches, progress = place.request, place.blobs, place.caches, place.progress
    shelf = LayerShelf(caches / "layers", blobs)
    tools = Tools(find_uv(), caches / "uv", caches / "environments")
    tools.folder.mkdir(exist_ok=True)
    found = [
        environment_layer(wanted, platform, shelf, tools, progress, base.provided),
        content.host_layer(host, shelf, progress),
        *(content.model_layer(model, blobs, shelf, progress) for model in request.models),
        content.code_layer(request.files, blobs, shelf, progress),
    ]
    return [layer for layer in found if layer is not None]


@contextmanager
def _alone(caches: Path) -> Iterator[None]:
    caches.mkdir(parents=True, exist_ok=True)
    with (caches / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"another build is using {caches}", remedy="Wait until it has ended."
            ) from error
        # Only a build that was killed leaves these behind.
        for leftover in [*caches.glob(f"{SCRATCH}*"), *caches.glob(f"*/{SCRATCH}*")]:
            shutil.rmtree(leftover)
        yield
