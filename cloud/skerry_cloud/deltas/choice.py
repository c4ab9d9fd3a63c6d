"""Which layer of those that a device holds the wanted one most likely came from; no I/O."""

from collections.abc import Collection, Sequence

from skerry_cloud.registry.modules import Layer, Module


def choose(
    versions: Sequence[Module], want: str, have: Collection[str]
) -> tuple[Layer, Layer] | None:
    """Return the wanted layer and the one to start from, or None if there is no such pair.

    A layer comes from one that holds the same kind of thing in another version of the module: the
    newest of them that the device has, and of several the one whose size is the nearest.
    What the new image has as well is not among them.

    Args:
        versions: All versions of the module, latest first.
        want: Digest of the wanted layer.
        have: Digests of layers that the device has.
    """
    images = [image for module in versions for image in module.images.values()]
    wanted = next((one for image in images for one in image.layers if one.digest == want), None)
    if wanted is None:
        return None
    # A layer that the new image has as well has not become the wanted one.
    stayed = {
        one.digest
        for image in images
        if want in {layer.digest for layer in image.layers}
        for one in image.layers
    }
    for image in images:
        kin = [
            one
            for one in image.layers
            if one.kind == wanted.kind and one.digest in have and one.digest not in stayed
        ]
        if kin:
            return wanted, min(kin, key=lambda one: (abs(one.size - wanted.size), one.digest))
    return None
