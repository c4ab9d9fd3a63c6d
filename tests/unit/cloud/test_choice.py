"""Which deployment a device follows, and which image it gets."""

import pytest

from skerry_cloud.deployments.choice import Candidate, current, specs
from skerry_cloud.registry.modules import Image, Module
from skerry_contract.errors import NotFoundError
from skerry_contract.manifest import Manifest, Target
from skerry_contract.manifest import Module as Wanted
from skerry_contract.names import Digest, Reference

AMD = Image(Digest("sha256:" + "a" * 64), 10, (), "yes")
ARM = Image(Digest("sha256:" + "b" * 64), 20, (), "yes")
MODULE = Module(Reference("face", 3), [], "score.py", "", {"linux/amd64": AMD}, 0.0)
MANIFEST = Manifest(
    name="faces", target=Target(("cam",)), modules={"detector": Wanted(image="face:3")}
)


def candidate(text: str, push: int, *, names_device: bool = True) -> Candidate:
    name, _, version = text.partition(":")
    return Candidate(name, int(version), push, names_device)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([], None, id="nothing"),
        pytest.param([candidate("a:1", 1)], "a:1", id="the only one"),
        pytest.param([candidate("a:1", 1), candidate("a:2", 2)], "a:2", id="the latest of a name"),
        pytest.param([candidate("a:1", 1), candidate("b:1", 2)], "b:1", id="the latest push"),
        pytest.param([candidate("b:1", 2), candidate("a:2", 3)], "a:2", id="of whatever name"),
        pytest.param(
            [candidate("a:1", 1), candidate("a:2", 2, names_device=False)], None,
            id="a push that no longer names the device takes it out",
        ),
        pytest.param(
            [candidate("a:1", 3), candidate("a:2", 4, names_device=False), candidate("b:1", 1)],
            "b:1", id="and leaves it with what else there is",
        ),
    ],
)  # fmt: skip
def test_a_device_follows_the_newest_push_that_names_it(
    candidates: list[Candidate], expected: str | None
) -> None:
    for order in (candidates, candidates[::-1]):
        found = current(order)
        assert (f"{found.name}:{found.version}" if found else None) == expected


def test_a_device_gets_the_image_of_its_platform() -> None:
    found = specs(MANIFEST, {"face:3": MODULE}, device="cam", platform="linux/amd64")
    assert (found["detector"].digest, found["detector"].size) == (AMD.digest, AMD.size)
    assert found["detector"].run == MANIFEST.modules["detector"].run


def test_a_platform_without_an_image_is_refused_with_what_to_do() -> None:
    with pytest.raises(NotFoundError, match="no image for linux/arm64, which cam is") as caught:
        specs(MANIFEST, {"face:3": MODULE}, device="cam", platform="linux/arm64")
    assert "--platform linux/arm64" in caught.value.remedy
