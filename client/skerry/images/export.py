"""Write a module's images to disk in one of three forms."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from skerry.api import Api
from skerry.images.archive import write_archive
from skerry.images.compression import Compression
from skerry.images.context import write_context
from skerry.images.conversion import converted, layer_bytes
from skerry.images.documents import ModuleImages
from skerry.images.layout import blobs_of, write_layout
from skerry.images.source import Blobs, CloudBlobs, chosen, module_images
from skerry.images.target import Target, check_target, new_folder
from skerry.output import Output
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.names import Reference


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a module is wanted, and how.

    Attributes:
        platform: Which platform; None for all of them, where the form can hold several.
        compression: How its layers are compressed; ``gzip`` leaves them as the cloud has them.
    """

    platform: str | None = None
    compression: Compression = "gzip"


def export(
    api: Api,
    which: Reference,
    targets: Sequence[Target],
    output: Output,
    choice: Choice,
    *,
    force: bool = False,
) -> ModuleImages:
    """Write a module to each target, and return what was written.

    Args:
        api: The server that holds it.
        which: The module.
        targets: Where to write.
        output: Shows how far it is.
        choice: What of it, and how.
        force: Replace what an earlier export made.

    Raises:
        ConflictError: Something is there already.
        NotFoundError: There is no such module or platform.
        DigestError: A blob is not what its digest promised.
        RuntimeFailedError: A target cannot hold layers in that compression.
        OSError: The disk said no.
    """
    check_targets(targets, choice.compression, force=force)
    found = module_images(api, which)
    if choice.platform is not None:
        found = _only(found, choice.platform)
    with as_wanted(found, CloudBlobs(api, which.name), choice.compression, output) as made:
        images, blobs = made
        for target in targets:
            narrow = images if target.form == "oci" else _only(images, choice.platform)
            with output.progress() as bar:
                total = sum(blob.size for blob in blobs_of(narrow))
                advance = partial(bar.advance, bar.add_task(str(target), total=total))
                _write(narrow, blobs, target, advance, force=force)
    return images


def check_targets(targets: Sequence[Target], compression: Compression, *, force: bool) -> None:
    """Refuse places that are taken, and forms that cannot hold what is wanted.

    Raises:
        ConflictError: Something is there already that may not be replaced.
        RuntimeFailedError: Whoever reads a target would not understand its layers.
    """
    for target in targets:
        if compression == "zstd" and target.form != "oci":
            raise RuntimeFailedError(
                f"{target} would hold zstandard layers, which Docker before 23 takes for broken "
                "tars",
                remedy="Use oci:DIR, or leave the layers gzip.",
            )
        check_target(target, force=force)


@contextmanager
def as_wanted(
    found: ModuleImages, blobs: Blobs, compression: Compression, output: Output
) -> Iterator[tuple[ModuleImages, Blobs]]:
    """Yield images in a compression, and where their blobs are as long as the block lasts.

    Raises:
        DigestError: A blob is not what its digest promised.
        OSError: The disk said no.
    """
    if compression == "gzip":
        yield found, blobs
        return
    with ExitStack() as kept:
        with output.progress() as bar:
            advance = partial(bar.advance, bar.add_task(compression, total=layer_bytes(found)))
            made = kept.enter_context(converted(found, blobs, compression, advance))
        yield made


def _write(
    found: ModuleImages,
    blobs: Blobs,
    target: Target,
    on_bytes: Callable[[int], object],
    *,
    force: bool,
) -> None:
    if target.form == "docker-archive":
        write_archive(found, blobs, target.path, on_bytes)
        return
    write = write_layout if target.form == "oci" else write_context
    with new_folder(target, force=force) as folder:
        write(found, blobs, folder, on_bytes)


def _only(found: ModuleImages, platform: str | None) -> ModuleImages:
    return replace(found, images=(chosen(found, platform),), index=None)
