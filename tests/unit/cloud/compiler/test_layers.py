"""Layers: the same content, the same bytes."""

import gzip
import hashlib
import io
import math
import tarfile
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.layers import MTIME, LayerShelf, LayerWriter, write_layer
from skerry_cloud.compiler.trees import prune, relative_link, unpack, unpack_layer
from skerry_contract.errors import RuntimeFailedError


def fill(layer: LayerWriter) -> None:
    layer.data("opt/a/one.txt", b"one")
    layer.file("opt/a/run", io.BytesIO(b"#!"), 2, executable=True)
    layer.link("opt/b", "a")
    layer.data("opt/" + "ü" * 120, b"long")


def test_a_layer_has_fixed_times_owners_modes_and_all_parents(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blob, diff_id = write_layer(blobs, fill)
    raw = blobs.read(blob.digest, limit=100_000)
    assert raw[4:8] == b"\0\0\0\0", "the gzip header holds a time"
    tar_bytes = gzip.decompress(raw)
    assert diff_id == f"sha256:{hashlib.sha256(tar_bytes).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(tar_bytes)) as tar:
        entries = tar.getmembers()
    assert [e.name for e in entries][:5] == ["opt", "opt/a", "opt/a/one.txt", "opt/a/run", "opt/b"]
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname) for e in entries} == {(MTIME, 0, 0, "", "")}
    assert [e.mode for e in entries[:4]] == [0o755, 0o755, 0o644, 0o755]


def test_a_folder_is_written_in_order_of_its_names(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    names = [f"{number:03}" for number in range(0, 200, 7)]
    for name in reversed(names):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").write_text(name)
    blob, _ = write_layer(blobs, lambda layer: layer.tree(tmp_path / "tree", "x"))
    with blobs.open(blob.digest) as file, tarfile.open(fileobj=file) as tar:
        found = tar.getnames()
    assert found == ["x", *(path for name in names for path in (f"x/{name}", f"x/{name}/file"))]


def test_a_known_layer_is_not_made_again_unless_its_blob_is_gone(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    shelf = LayerShelf(tmp_path / "layers", blobs)
    calls = []

    def counted(layer: LayerWriter) -> None:
        calls.append(1)
        fill(layer)

    first = shelf.layer("models", "model a:1", ["a"], counted)
    again = shelf.layer("models", "model a:1", ["a"], counted)
    assert (first.reused, again.reused, len(calls)) == (False, True, 1)
    assert (again.digest, again.size, again.diff_id) == (first.digest, first.size, first.diff_id)

    blobs.delete_unused(first.digest, math.inf)
    assert shelf.layer("models", "model a:1", ["a"], counted).digest == first.digest
    for record in (tmp_path / "layers").iterdir():
        record.write_bytes(b'{"dig')
    assert not shelf.layer("models", "model a:1", ["a"], counted).reused
    assert len(calls) == 3


def test_an_unpacked_layer_is_kept_and_old_ones_are_pruned(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    trees = tmp_path / "trees"
    shelf = LayerShelf(tmp_path / "layers", blobs)
    layer = shelf.layer("models", "a", ["a"], fill)
    tree = unpack_layer(blobs, layer, trees)
    assert (tree / "opt/b/one.txt").read_text() == "one"
    assert unpack_layer(blobs, layer, trees) == tree
    (trees / "old").mkdir()
    prune(trees, {tree}, count=0)
    assert list(trees.iterdir()) == [tree]


@pytest.mark.parametrize("name", ["../up", "link/../../up", "link/inside"])
def test_a_tar_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "../.."
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo(name))
    archive.seek(0)
    with pytest.raises(RuntimeFailedError, match="leads out"):
        unpack(archive, tmp_path / "a" / "b", lambda path: path)


@pytest.mark.parametrize(
    ("path", "target", "relative"),
    [
        ("usr/lib64/ld.so", "/lib/x/ld.so", "../../lib/x/ld.so"),
        ("etc/os-release", "../usr/lib/os-release", "../usr/lib/os-release"),
        ("a", "/b", "b"),
    ],
)
def test_links_lead_to_the_same_place_below_any_root(path: str, target: str, relative: str) -> None:
    assert relative_link(path, target) == relative
