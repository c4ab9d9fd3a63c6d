"""Archives that must not be unpacked are refused, naming the member."""

import gzip
import io
import stat
import tarfile
import zipfile
from typing import Any

import pytest

from skerry_contract.errors import ModelError
from support.looking import look


def tar_with(mode: Any = "w", **facts: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("bad-one")
        for name, value in facts.items():
            setattr(info, name, value)
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


def zip_with(name: str, mode: int = 0o100644, data: bytes = b"x") -> bytes:
    out = io.BytesIO()
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(tar_with(type=tarfile.SYMTYPE, linkname="/etc"), "a link", id="symlink"),
        pytest.param(tar_with(type=tarfile.LNKTYPE, linkname="x"), "a link", id="hard link"),
        pytest.param(tar_with(type=tarfile.CHRTYPE), "a device", id="device"),
        pytest.param(tar_with(type=tarfile.FIFOTYPE), "a pipe", id="pipe"),
        pytest.param(tar_with(name="a/../../bad-one"), r"'\.\.'", id="tar with .."),
        pytest.param(tar_with(name="/bad-one"), "absolute", id="absolute in tar"),
        pytest.param(
            tar_with("w:gz", name="x" * 300 + "/../bad-one"), r"'\.\.'", id="long name, gzip"
        ),
        pytest.param(zip_with("../bad-one"), r"'\.\.'", id="zip with .."),
        pytest.param(zip_with("/bad-one"), "absolute", id="absolute in zip"),
        pytest.param(zip_with("C:\\bad-one"), "absolute", id="a drive"),
        pytest.param(zip_with("bad-one", stat.S_IFLNK | 0o777), "a link", id="link in zip"),
        pytest.param(
            zip_with("bad-one").replace(b"bad-one", b"\0ad-one"), "nameless", id="no name in zip"
        ),
        pytest.param(
            zip_with("bad-one", data=bytes(80_000_000)), "grows more than", id="bomb in zip"
        ),
        pytest.param(tar_with("w:gz", size=80_000_000), "grows more than", id="bomb in tar.gz"),
    ],
)
def test_what_must_not_be_unpacked_is_refused_by_name(data: bytes, what: str) -> None:
    with pytest.raises(ModelError, match=what) as refusal:
        look({"models/m.any": data})
    assert "models/m.any" in refusal.value.text


def test_attributes_without_an_end_are_refused() -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    with pytest.raises(ModelError, match="attributes of"):
        look(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)))


def test_too_many_members_are_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n in range(100_001):
            archive.writestr(zipfile.ZipInfo(str(n)), b"")
    with pytest.raises(ModelError, match="more than 100000 members, from '100000' on"):
        look(out.getvalue())


def test_a_plain_archive_is_told_and_kept() -> None:
    found = look({"m.zip": zip_with("a.txt"), "m.tar": tar_with(size=3)})
    assert [(one.format, one.executes_code) for one in found] == [("zip", ""), ("tar", "")]


def test_an_archive_that_stops_in_the_middle_is_not_taken_for_harmless() -> None:
    data = tar_with(size=100_000)
    (found,) = [one for one in look(data[:50_000]) if one.executes_code]
    assert "not looked through" in found.executes_code
