"""Layers laid over each other in a folder, hostile ones too."""

import gzip
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.flatten import flatten, inside
from skerry_cloud.compiler.request import GZIP_LAYER, Layer
from skerry_contract.errors import ContractError, DigestError, SkerryError
from skerry_contract.names import Digest
from support.images import Entry, digest_of, tar_of

TAR = "application/vnd.oci.image.layer.v1.tar"


def link(name: str, target: str) -> Entry:
    return Entry(name, kind=tarfile.SYMTYPE, link=target)


def same(name: str, target: str) -> Entry:
    return Entry(name, kind=tarfile.LNKTYPE, link=target)


def folder(name: str) -> Entry:
    return Entry(name, kind=tarfile.DIRTYPE, mode=0o755)


def layer_of(blobs: BlobStore, data: bytes, *, diff_id: str = "", form: str = GZIP_LAYER) -> Layer:
    blob = blobs.put(gzip.compress(data, mtime=0) if form == GZIP_LAYER else data)
    unpacked = Digest(diff_id) if diff_id else digest_of(data)
    return Layer("base", "", blob.digest, blob.size, unpacked, reused=True, media_type=form)


def laid_out(root: Path, *layers: Sequence[Entry], form: str = GZIP_LAYER) -> Path:
    blobs = BlobStore(root / "blobs")
    return flatten([layer_of(blobs, tar_of(one), form=form) for one in layers], blobs, root / "t")


def contents(tree: Path) -> dict[str, str]:
    found = {}
    for place, folders, names in os.walk(tree):
        for name in (*folders, *names):
            path = Path(place, name)
            if path.is_symlink():
                text = f"-> {path.readlink()}"
            else:
                text = "" if path.is_dir() else path.read_text()
            found[path.relative_to(tree).as_posix()] = text
    return found


A, B = Entry("d/a", b"1"), Entry("d/b", b"2")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (([A], [Entry("d/a", b"3")]), {"d": "", "d/a": "3"}),
        (([A, B], [Entry("d/.wh.a")]), {"d": "", "d/b": "2"}),
        (([A, B], [Entry("./.wh.d")]), {}),
        (([A, B], [Entry("d/.wh..wh..opq"), Entry("d/c")]), {"d": "", "d/c": ""}),
        (([A, B], [Entry("d/c"), Entry("d/.wh..wh..opq")]), {"d": "", "d/c": ""}),
        (([A], [Entry(".wh.d"), Entry("d", b"file")]), {"d": "file"}),
        (([A], [link("d", "/e")]), {"d": "-> /e"}),
        (
            ([folder("usr/lib"), link("lib", "usr/lib")], [Entry("lib/x", b"1")]),
            {"usr": "", "usr/lib": "", "usr/lib/x": "1", "lib": "-> usr/lib"},
        ),
        (([A], [same("d/c", "d/a")], [Entry("d/a", b"3")]), {"d": "", "d/a": "3", "d/c": "1"}),
        (([Entry("null", kind=tarfile.CHRTYPE), A],), {"d": "", "d/a": "1"}),
    ],
)
@pytest.mark.parametrize("form", [GZIP_LAYER, TAR])
def test_later_layers_change_and_hide_what_earlier_ones_have(
    tmp_path: Path, layers: Sequence[Sequence[Entry]], expected: dict[str, str], form: str
) -> None:
    tree = laid_out(tmp_path, *layers, form=form)
    assert contents(tree) == expected
    assert laid_out(tmp_path, *layers, form=form) == tree


@pytest.mark.parametrize("target", ["{}", "../../outside"])
def test_nothing_is_written_or_read_outside(tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("mine")
    leads = target.format(outside)
    entries = [link("out", leads), Entry("out/secret", b"theirs"), Entry("../../outside/x", b"1")]
    tree = laid_out(tmp_path, entries, [Entry("out/.wh.secret")], [link("f", f"{leads}/secret")])
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == "mine"
    laid_out(tmp_path, [link("f", f"{leads}/secret")], [Entry("f", b"theirs")])
    assert (outside / "secret").read_text() == "mine"
    assert not inside(tree, "f").exists()
    assert inside(tree, "f").is_relative_to(tree)
    with pytest.raises(ContractError, match="not there"):
        laid_out(tmp_path, [same("copy", f"{leads}/secret")])


@pytest.mark.parametrize(
    ("data", "diff_id", "error"),
    [
        (b"no tar at all" * 100, "", ContractError),
        (tar_of([A]), f"sha256:{'0' * 64}", DigestError),
        (tar_of([Entry("d/.wh.")]), "", ContractError),
        (tar_of([Entry("a"), Entry("a/b")]), "", ContractError),
        (tar_of([link("a", "b"), link("b", "a"), Entry("a/c")]), "", ContractError),
    ],
)
def test_a_layer_that_is_not_what_it_should_be_leaves_nothing_to_build_on(
    tmp_path: Path, data: bytes, diff_id: str, error: type[SkerryError]
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    layer = layer_of(blobs, data, diff_id=diff_id)
    for _ in range(2):
        with pytest.raises(error):
            flatten([layer], blobs, tmp_path / "t")
