"""``skerry module build --base``: an image that somebody else made, brought along to build on."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from skerry.commands.module_import import Access, lay_out, tell_recompressed
from skerry.images.incoming import read_layout, send, wanted_of
from skerry.session import Session
from skerry_contract.errors import NotFoundError

BASE_HELP = (
    "Image with Python 3.11 to build on: oci:DIR[:TAG], docker-archive:FILE, or "
    "REGISTRY/REPOSITORY with :TAG or @sha256:….  [default: Skerry's own]"
)


def bring_base(session: Session, source: str, platforms: Sequence[str]) -> Mapping[str, str]:
    """Upload the images that ``source`` has for ``platforms``, and return their digests.

    They are printed, for a tag may mean another image tomorrow.

    Raises:
        NotFoundError: There is no such image, or none for a platform.
        ContractError: A layer is compressed in a way that devices cannot read.
        DigestError: A blob is not what its digest promised.
        NetworkError: The registry or the server went away.
    """
    with tempfile.TemporaryDirectory(prefix="skerry-base-") as scratch:
        laid_out = Path(scratch, "layout")
        laid_out.mkdir()
        folder, tag = lay_out(source, laid_out, platforms, Access())
        images = read_layout(folder, tag, platforms, Path(scratch))
        tell_recompressed(session.output, images)
        found = {wanted_of(platforms, image.platform) or "": image for image in images}
        lacking = ", ".join(sorted(set(platforms) - set(found)))
        if lacking:
            raise NotFoundError(
                f"{source} has no image for {lacking}", remedy=f"It has: {', '.join(found)}."
            )
        with session.output.progress() as bar:
            total = sum(file.size for image in images for file in image.files)
            task = bar.add_task("base", total=total)
            send(session.api, images, Path(scratch), lambda count: bar.advance(task, count))
    for platform, image in sorted(found.items()):
        session.output.note(f"base for {platform}: {image.digest}")
    return {platform: image.digest for platform, image in found.items()}
