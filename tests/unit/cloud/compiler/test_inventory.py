"""What a layer tells of the software in it."""

import io
import math
import tarfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.inventory import locked_hashes, read_layer, take_inventory
from skerry_cloud.compiler.layers import LayerWriter, write_layer
from skerry_cloud.compiler.request import Layer
from skerry_cloud.compiler.terms import debian_terms, python_terms

NOTE = """\
Package: zlib1g
Version: 1:1.2.13
Architecture: amd64
Pre-Depends: base-files
Depends: libc6 (>= 2.14),
 libgone | libother
Description: compression
 Package: not this line
"""
MACHINE_READABLE = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
License: Zlib
 The text.

License: Expat
"""
METADATA = """\
Metadata-Version: 2.4
Name: Some_Package.Name
Version: 1.0
License-Expression: MIT OR Apache-2.0
Requires-Dist: urllib3<3,>=1.21
Requires-Dist: idna; python_version < "4"
Requires-Dist: socks; extra == "proxy"

Name: a description may hold anything
"""
FILES = {
    "var/lib/dpkg/status.d/zlib1g": NOTE,
    "usr/share/doc/zlib1g/copyright": MACHINE_READABLE,
    "opt/skerry/env/some.dist-info/METADATA": METADATA,
    "opt/skerry/env/environment.lock": "some-package-name==1.0 \\\n    --hash=sha256:" + "a" * 64,
    "etc/os-release": 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n',
    "opt/skerry/env/other/METADATA": "Name: none\nVersion: 1\n",
}


def layer_of(files: dict[str, str], links: dict[str, str] | None = None) -> tarfile.TarFile:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        writer = LayerWriter(tar)
        for path, target in (links or {}).items():
            writer.link(path, target)
        for path, text in files.items():
            writer.data(path, text.encode())
    return tarfile.open(fileobj=io.BytesIO(out.getvalue()))


def test_packages_of_both_kinds_are_found_with_their_terms_and_needs() -> None:
    found = read_layer(layer_of(FILES))
    debian, python = found.packages
    assert (debian.name, debian.version, debian.architecture) == ("zlib1g", "1:1.2.13", "amd64")
    assert debian.licences == ("Expat", "Zlib")
    assert debian.depends == ("base-files", "libc6", "libgone", "libother")
    assert (python.name, python.version) == ("some-package-name", "1.0")
    assert (python.licences, python.spdx) == (("MIT OR Apache-2.0",), True)
    assert python.depends == ("urllib3", "idna")
    assert found.system == "debian-12"


def test_terms_are_found_where_the_folder_of_a_package_is_a_link() -> None:
    files = {
        "var/lib/dpkg/status": "Package: b\nVersion: 1\nArchitecture: all\n\n"
        "Package: gone\nVersion: 1\nStatus: deinstall ok config-files\n",
        "usr/share/doc/a/copyright": MACHINE_READABLE,
    }
    [package] = read_layer(layer_of(files, {"usr/share/doc/b": "a"})).packages
    assert (package.name, package.licences) == ("b", ("Expat", "Zlib"))


def test_a_file_that_is_too_long_is_passed_over() -> None:
    long = {"opt/skerry/env/some.dist-info/METADATA": METADATA + "x" * 5_000_000}
    assert read_layer(layer_of(long)).packages == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (MACHINE_READABLE, ("Expat", "Zlib")),
        ("Comes under the GPL, see /usr/share/common-licenses/GPL-2.", ()),
        ("", ()),
    ],
    ids=["machine-readable", "prose", "nothing"],
)
def test_terms_of_debian_are_those_that_a_program_can_read(
    text: str, found: tuple[str, ...]
) -> None:
    assert debian_terms(text) == found


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ("License: MIT", ("MIT",)),
        ("License: UNKNOWN", ()),
        ("License: " + "long " * 50, ()),
        ("License: BSD\nClassifier: License :: OSI Approved :: BSD License", ("BSD License",)),
        ("Classifier: License :: OSI Approved", ()),
        ("Classifier: Topic :: Software", ()),
    ],
)
def test_terms_of_python_packages(headers: str, found: tuple[str, ...]) -> None:
    assert python_terms(HeaderParser().parsestr(headers)).licences == found


def test_a_lock_gives_the_hashes_of_each_package() -> None:
    lock = f"a-b==1 \\\n    --hash=sha256:{'2' * 64} \\\n    --hash=sha256:{'1' * 64}\nc==2\n"
    assert locked_hashes(lock) == {"a-b": ("1" * 64, "2" * 64), "c": ()}


def test_a_layer_is_read_once_and_a_torn_record_is_none(tmp_path: Path) -> None:
    blobs, records = BlobStore(tmp_path / "blobs"), tmp_path / "records"

    def fill(writer: LayerWriter) -> None:
        for path, text in FILES.items():
            writer.data(path, text.encode())

    blob, diff_id = write_layer(blobs, fill)
    layer = Layer("environment", "one", blob.digest, blob.size, diff_id, reused=False)
    first = take_inventory([layer], blobs, records)
    assert first.packages[1].hashes == ("a" * 64,)
    blobs.delete_unused(blob.digest, math.inf)
    assert take_inventory([layer], blobs, records) == first
    [record] = records.iterdir()
    record.write_bytes(record.read_bytes()[:50])
    blobs.put(b"")
    write_layer(blobs, fill)
    assert take_inventory([layer], blobs, records) == first
