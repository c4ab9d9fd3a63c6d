"""Write a module's images to disk in one of three forms."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from skerry.api import Api
from skerry.images.archive import write_archive
from skerry.images.context import write_context
from skerry.images.documents import ModuleImages
from skerry.images.layout import blobs_of, write_layout
from skerry.images.source import CloudBlobs, chosen, module_images
from skerry.images.target import Target, check_target, new_folder
from skerry.output import Output
from skerry_contract.names import Reference


def export(
    api: Api,
    which: Reference,
    targets: tuple[Target, ...],
    output: Output,
    *,
    platform: str | None = None,
    force: bool = False,
) -> ModuleImages:
    """Write a module to each target, and return what was written.

    Args:
        api: The server that holds it.
        which: The module.
        targets: Where to write.
        output: Shows how far it is.
        platform: Which platform; None for all of them, where the form can hold several.
        force: Replace what an earlier export made.

    Raises:
        ConflictError: Something is there already.
        NotFoundError: There is no such module or platform.
        DigestError: A blob is not what its digest promised.
        OSError: The disk said no.
    """
    for target in targets:
        check_target(target, force=force)
    found = module_images(api, which)
    if platform is not None:
        found = _only(found, platform)
    for target in targets:
        narrow = found if target.form == "oci" else _only(found, platform)
        with output.progress() as bar:
            total = sum(blob.size for blob in blobs_of(narrow))
            advance = partial(bar.advance, bar.add_task(str(target), total=total))
            _write(narrow, CloudBlobs(api, which.name), target, advance, force=force)
    return found


def _write(
    found: ModuleImages,
    blobs: CloudBlobs,
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
