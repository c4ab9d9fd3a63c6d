"""Layers become a tree, and a hostile layer becomes nothing."""

import gzip
import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from skerry_agent.rootfs import inside, relative_target
from skerry_agent.unpack import Job, LayerFile, unpack
from skerry_contract.errors import ContractError, DigestError, NoSpaceError
from support.images import Entry, digest_of, tar_of

FOLDER, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def job(tmp_path: Path, *layers: Sequence[Entry] | bytes, max_bytes: int = 10**7) -> Job:
    files = []
    for layer in layers:
        data = layer if isinstance(layer, bytes) else gzip.compress(tar_of(layer))
        path = tmp_path / digest_of(data).replace(":", "-")
        path.write_bytes(data)
        files.append(LayerFile(str(path), digest_of(data), gzip=True))
    (tmp_path / "root").mkdir(exist_ok=True)
    return Job(str(tmp_path / "root"), tuple(files), max_bytes)


def unpacked(tmp_path: Path, *layers: Sequence[Entry]) -> Path:
    unpack(job(tmp_path, *layers))
    return tmp_path / "root"


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_later_layers_lie_above_earlier_ones(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [Entry("./etc", kind=FOLDER), Entry("./etc/a", b"old"), Entry("etc/b", b"b")],
        [Entry("etc/a", b"new"), Entry("deep/er/c", b"c")],
    )
    assert (root / "etc/a").read_bytes() == b"new"
    assert names(root) == {"etc", "etc/a", "etc/b", "deep", "deep/er", "deep/er/c"}


def test_a_whiteout_removes_what_lies_below_it(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [Entry("a/x/1"), Entry("a/y"), Entry("a/z")],
        [Entry("a/.wh.x"), Entry("a/.wh.y"), Entry("a/.wh.never-there")],
    )
    assert names(root) == {"a", "a/z"}


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_folder_hides_lower_layers_and_not_its_own(tmp_path: Path, first: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    own = [Entry("a", kind=FOLDER), Entry("a/new", b"n"), Entry("a/x/own", b"o")]
    opaque = [Entry("a/.wh..wh..opq")]
    layer = opaque + own if first else own + opaque
    root = unpacked(tmp_path, [Entry("a/old"), Entry("a/x/1"), Entry("b")], layer)
    assert names(root) == {"a", "a/new", "a/x", "a/x/own", "b"}


def test_one_kind_replaces_another(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [Entry("a/x"), Entry("b"), Entry("c", kind=LINK, link="b")],
        [Entry("a", b"file"), Entry("b", kind=FOLDER), Entry("c", b"c")],
    )
    assert (root / "a").read_bytes() == b"file"
    assert (root / "b").is_dir()
    assert (root / "c").read_bytes() == b"c"
    assert not (root / "c").is_symlink()


def test_a_layer_may_write_through_links_to_folders(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [Entry("usr/lib", kind=FOLDER), Entry("lib", kind=LINK, link="/usr/lib")],
        [Entry("lib/new", b"n")],
    )
    assert (root / "usr/lib/new").read_bytes() == b"n"
    assert (root / "lib").is_symlink()


def test_times_stay_and_set_user_id_goes(tmp_path: Path) -> None:
    root = unpacked(tmp_path, [Entry("su", b"x", mode=0o6755), Entry("secret", mode=0o000)])
    assert stat.S_IMODE((root / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "secret").stat().st_mode) == 0o400
    assert (root / "su").stat().st_mtime == 0


def test_hard_links_are_one_file(tmp_path: Path) -> None:
    root = unpacked(tmp_path, [Entry("a", b"x"), Entry("b", kind=HARD, link="./a")])
    assert (root / "a").stat().st_ino == (root / "b").stat().st_ino


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param([Entry("../out", b"x")], id="dots"),
        pytest.param([Entry("a/../../out", b"x")], id="dots within"),
        pytest.param([Entry("/out", b"x")], id="absolute"),
        pytest.param([Entry("l", kind=LINK, link="../../out")], id="link that climbs out"),
        pytest.param([Entry("l", kind=HARD, link="../secret")], id="hard link that climbs out"),
        pytest.param([Entry("l", kind=HARD, link="/etc/passwd")], id="absolute hard link"),
        pytest.param(
            [Entry("s", kind=LINK, link="/secret"), Entry("l", kind=HARD, link="s")],
            id="hard link to a link",
        ),
        pytest.param([Entry("l", kind=HARD, link="missing")], id="hard link to nothing"),
        pytest.param([Entry("d", kind=tarfile.CHRTYPE)], id="character device"),
        pytest.param([Entry("d", kind=tarfile.BLKTYPE)], id="block device"),
        pytest.param([Entry("d", kind=tarfile.FIFOTYPE)], id="pipe"),
        pytest.param([Entry(".wh...", b"")], id="whiteout of the parent"),
        pytest.param([Entry("a/.wh.", b"")], id="whiteout of the folder itself"),
        pytest.param(
            [Entry("l", kind=LINK, link="m"), Entry("m", kind=LINK, link="l"), Entry("l/x")],
            id="links in a circle",
        ),
        pytest.param(b"no archive at all", id="no archive"),
        pytest.param(gzip.compress(b"x" * 5000), id="no tar"),
        pytest.param(gzip.compress(tar_of([Entry("a", b"x" * 9000)]))[:-100], id="cut off"),
    ],
)
def test_what_has_no_place_in_an_image_is_refused(
    tmp_path: Path, layer: Sequence[Entry] | bytes
) -> None:
    (tmp_path / "secret").write_text("secret")
    before = names(tmp_path)
    with pytest.raises(ContractError):
        unpack(job(tmp_path, layer))
    outside = {name for name in names(tmp_path) - before if not name.startswith(("root", "sha256"))}
    assert outside == set()


def test_absolute_links_lead_to_the_image_and_never_to_the_device(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        [
            Entry("etc/secret", b"the image's own"),
            Entry("usr/share/l", kind=LINK, link="/etc/secret"),
            Entry("out", kind=LINK, link="/"),
            Entry("out/through", b"inside"),
        ],
    )
    assert (root / "usr/share/l").read_bytes() == b"the image's own"
    assert (root / "through").read_bytes() == b"inside"


def test_a_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    bomb = [Entry("zeros", bytes(50_000_000))]
    with pytest.raises(NoSpaceError, match="10000000"):
        unpack(job(tmp_path, bomb))
    assert sum(path.lstat().st_size for path in (tmp_path / "root").rglob("*")) < 10_000_000


def test_rot_is_told_apart_from_a_bad_image(tmp_path: Path) -> None:
    given = job(tmp_path, [Entry("a", b"x" * 5000)])
    path = Path(given.layers[0].path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(DigestError, match=given.layers[0].digest):
        unpack(given)


def test_the_child_says_in_json_what_went_wrong(tmp_path: Path) -> None:
    given = job(tmp_path, [Entry("/out", b"x")])
    layers = [{"path": one.path, "digest": one.digest, "gzip": True} for one in given.layers]
    text = json.dumps({"target": given.target, "layers": layers, "max_bytes": 10**6})
    done = subprocess.run(
        [sys.executable, "-m", "skerry_agent.unpack"],
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "CONTRACT"
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("link", "target", "expected"),
    [
        ("l", "a", "a"),
        ("l", "/a/b", "a/b"),
        ("l", "/", "."),
        ("x/y/l", "/a", "../../a"),
        ("x/y/l", "../../a", "../../a"),
        ("x/l", "./../a", "./../a"),
    ],
)
def test_links_stay_inside(link: str, target: str, expected: str) -> None:
    assert relative_target(link, target) == expected


def test_inside_follows_links_as_the_image_would(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "up").symlink_to("../../../..")
    (tmp_path / "usr/l").symlink_to("/lib")
    assert inside(tmp_path, "/lib/x") == tmp_path / "usr/lib/x"
    assert inside(tmp_path, "usr/l/x") == tmp_path / "usr/lib/x"
    assert inside(tmp_path, "up/../usr") == tmp_path / "usr"
    assert inside(tmp_path, "lib", follow_last=False) == tmp_path / "lib"
