"""Which layer a delta starts from."""

import pytest

from skerry_cloud.deltas.choice import choose
from skerry_cloud.registry.modules import Image, Layer, Module
from skerry_contract.names import Digest, Reference


def version(number: int, *layers: Layer) -> Module:
    image = Image(Digest(f"sha256:{number}"), 1, layers, "yes")
    return Module(Reference("cam", number), [], "score.py", "", {"linux/amd64": image}, 0.0)


def layer(name: str, kind: str = "model", size: int = 100) -> Layer:
    return Layer(name, size, kind, reused=False)


WANTED = version(3, layer("base", "base"), layer("m3"), layer("n3", size=900), layer("c3", "code"))
SECOND = version(2, layer("base", "base"), layer("m2"), layer("n2", size=910), layer("c2", "code"))
FIRST = version(1, layer("old-base", "base"), layer("m1"), layer("c1", "code"))
VERSIONS = [WANTED, SECOND, FIRST]


@pytest.mark.parametrize(
    ("want", "have", "base"),
    [
        pytest.param("m3", {"m1", "m2", "c2"}, "m2", id="the newest that is there"),
        pytest.param("m3", {"m1", "c2"}, "m1", id="an older one"),
        pytest.param("n3", {"m2", "n2"}, "n2", id="of several the nearest in size"),
        pytest.param("c3", {"m2", "c1"}, "c1", id="of its own kind"),
        pytest.param("c3", {"m2"}, None, id="never of another kind"),
        pytest.param("m3", {"n3", "m1"}, "m1", id="not from its neighbour that stayed"),
        pytest.param("m3", {"m3"}, None, id="not from itself"),
        pytest.param("m3", set(), None, id="from nothing"),
        pytest.param("away", {"m2"}, None, id="a layer of no version"),
        pytest.param("base", {"old-base"}, "old-base", id="a base"),
    ],
)
def test_a_layer_comes_from_one_of_its_kind(want: str, have: set[str], base: str | None) -> None:
    found = choose(VERSIONS, want, have)
    assert (found and (found[0].digest, found[1].digest)) == (base and (want, base))
