"""The base layer: a Debian root that holds Python 3.11 and what wheels expect, and no more.

It is made of the packages of the Debian suite that this machine is configured for. Nothing is
executed: what the packages' scripts would do and a module needs, is done here. What stays of a
package keeps its copyright file, and a note of its version where scanners look for it.
"""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from skerry_cloud.compiler.bytecode import compile_tree
from skerry_cloud.compiler.debian import Apt, Package
from skerry_cloud.compiler.layers import SCRATCH, LayerShelf, LayerWriter, replace_file
from skerry_cloud.compiler.platforms import Platform
from skerry_cloud.compiler.programs import missing_program, run
from skerry_cloud.compiler.request import Layer, Progress
from skerry_cloud.compiler.trees import unpack
from skerry_contract.errors import NetworkError, RuntimeFailedError

USER_ID = 65532
"""User and group that modules run as."""
MAX_AGE_S = 24 * 3600.0
"""Seconds after which Debian is asked again for newer packages."""

_WANTED = (
    "base-files",
    "ca-certificates",
    "libgomp1",
    "libpython3.11-stdlib",
    "libstdc++6",
    "python3-distutils",
    "python3.11-minimal",
)
# Package management, and what only line editing, terminals, NIS and Berkeley databases need.
_UNWANTED = (
    "debconf dpkg libacl1 libcom-err2 libdb5.3 libgssapi-krb5-2 libk5crypto3 libkeyutils1 "
    "libkrb5-3 libkrb5support0 libmd0 libncursesw6 libnsl2 libpcre2-8-0 libreadline8 libselinux1 "
    "libtinfo6 libtirpc-common libtirpc3 libzstd1 mawk openssl readline-common tar "
    "libpython3-stdlib media-types python3 python3-lib2to3 python3-minimal "
    "python3-pkg-resources python3.11"
)
_UNWANTED_EXTENSIONS = ("_curses", "_curses_panel", "_dbm", "nis", "readline")
_KEPT_ETC = ("etc/debian_version", "etc/host.conf", "etc/mime.types", "etc/os-release")
_KEPT_PROGRAMS = ("usr/bin/python3.11",)
_UNWANTED_FOLDERS = frozenset(
    ("binfmt.d", "games", "gconv", "include", "lib2to3", "locale", "pydoc_data", "sbin", "test")
)
# Debian lets people choose between libraries; without that choice, what is there is taken.
_CHOSEN = ("blas/libblas.so.3", "lapack/liblapack.so.3")
_PYTHON_PACKAGES = "usr/lib/python3/dist-packages"
_MERGED = ("bin", "lib", "lib64", "sbin")
# Mount points, and folders that later layers fill: a read-only root must have them already.
FOLDERS = (
    "dev inputs opt/skerry/env opt/skerry/host proc root run/skerry sys "
    "var/azureml-app/azureml-models"
)
"""Folders that every base has, between blanks."""
_CERTIFICATES = "usr/share/ca-certificates/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_UNPACK_S = 120.0
USERS = {
    "etc/passwd": f"skerry:x:{USER_ID}:{USER_ID}:skerry:/var/azureml-app:/usr/sbin/nologin\n",
    "etc/group": f"skerry:x:{USER_ID}:\n",
}
"""The line for what modules run as, in the files that have it."""
_TEXTS = {
    "etc/passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\n{USERS['etc/passwd']}",
    "etc/group": f"root:x:0:\n{USERS['etc/group']}",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def base_layer(
    platform: Platform, shelf: LayerShelf, folder: Path, progress: Progress, *, now: float
) -> Layer:
    """Return the base layer for ``platform``.

    Args:
        platform: Whose packages to take.
        shelf: Where layers are remembered.
        folder: Where lists of packages are kept between builds.
        progress: Is told what takes time.
        now: Seconds since the epoch.

    Raises:
        NetworkError: Debian's archive is out of reach, and there is no base from before.
        EnvironmentFileError: The configured suite has no Python 3.11 for the platform.
        RuntimeFailedError: There is no apt or dpkg-deb here.
    """
    home = folder / platform.debian
    home.mkdir(parents=True, exist_ok=True)
    packages = _packages(platform, home, progress, now=now)
    names = [f"{p.name}={p.version}:{p.architecture}" for p in packages]

    def fill(layer: LayerWriter) -> None:
        progress(f"making the base for {platform.name} from {len(packages)} Debian packages")
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
            debs, root = Path(scratch, "debs"), Path(scratch, "root")
            debs.mkdir()
            root.mkdir()
            Apt(home / "apt", platform).download(packages, debs)
            for deb in sorted(debs.iterdir()):
                _unpack_package(deb, root)
            _finish(root, platform, progress)
            _write(layer, root)

    title = f"Debian with Python 3.11 for {platform.architecture}"
    return shelf.layer("base", title, [platform.name, names], fill)


def place(name: str) -> str | None:
    """Return where a package's file goes in the base, or None if it is left out.

    Args:
        name: Its path in the package.
    """
    top, _, rest = name.partition("/")
    if top in _MERGED and rest:
        name = f"usr/{name}"
    parts = name.split("/")
    if name.startswith("usr/share/"):
        licences = ("common-licenses", "ca-certificates")
        is_copyright = parts[2] == "doc" and (len(parts) == 4 or parts[-1] == "copyright")
        return name if is_copyright or parts[2] in licences else None
    if name.startswith("usr/bin/"):
        return name if name in _KEPT_PROGRAMS else None
    if not _UNWANTED_FOLDERS.isdisjoint(parts):
        return None
    if "lib-dynload" in parts and parts[-1].split(".")[0] in _UNWANTED_EXTENSIONS:
        return None
    if parts[-1] == "sitecustomize.py":
        return None
    return name if name.startswith("usr/lib") or name in _KEPT_ETC else None


def python_packages(platform: Platform, folder: Path) -> dict[str, str]:
    """Return the packages, as the package index calls them, of the base made last, with versions.

    Args:
        platform: Platform of the base.
        folder: What ``base_layer`` was given.
    """
    known = _recall(folder / platform.debian / "packages.json", None)
    versions = {package.name: package.version for package in known[1]} if known else {}
    return {
        name: _upstream(versions[debian])
        for debian, name in platform.python_packages
        if debian in versions
    }


def _upstream(version: str) -> str:
    """Return the author's version: ``1:1.24.2-1+deb12u1`` is ``1.24.2``."""
    return version.rpartition(":")[2].partition("-")[0]


def _packages(platform: Platform, home: Path, progress: Progress, *, now: float) -> list[Package]:
    """Return the packages to take: those of today, or the last ones if Debian is away."""
    record = home / "packages.json"
    wanted = [*_WANTED, *(debian for debian, _ in platform.python_packages)]
    known = _recall(record, wanted)
    if known is not None and 0 <= now - known[0] < MAX_AGE_S:
        return known[1]
    progress("asking Debian for its newest packages")
    try:
        planned = Apt(home / "apt", platform).plan(wanted)
    except NetworkError as error:
        if known is None:
            raise
        progress(f"{error}; taking the packages of {time.ctime(known[0])} again")
        return known[1]
    unwanted = _UNWANTED.split()
    packages = [package for package in planned if package.name not in unwanted]
    lines = [[package.name, package.version, package.architecture] for package in packages]
    replace_file(record, json.dumps({"time": now, "wanted": wanted, "packages": lines}).encode())
    return packages


def _recall(record: Path, wanted: Sequence[str] | None) -> tuple[float, list[Package]] | None:
    """Return what was taken last, and when; long ago, if something else was wanted then."""
    try:
        known = json.loads(record.read_bytes())
        is_same = wanted in (None, known.get("wanted"))
        return float(known["time"]) if is_same else 0.0, [
            Package(*line) for line in known["packages"]
        ]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _unpack_package(deb: Path, root: Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    try:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise missing_program("dpkg-deb", error) from error
    with child:
        assert child.stdout is not None  # noqa: S101  # it is PIPE
        try:
            unpack(child.stdout, root, place)
            child.stdout.read()
            child.wait(_UNPACK_S)
        finally:
            child.kill()
    if child.returncode != 0:
        raise RuntimeFailedError(f"dpkg-deb could not read {deb.name}")
    facts = run(["dpkg-deb", "--field", deb], timeout_s=_UNPACK_S, cwd=root).output
    note = root / "var/lib/dpkg/status.d" / deb.name.partition("_")[0]
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(facts, encoding="utf-8")


def _finish(root: Path, platform: Platform, progress: Progress) -> None:
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("python3", "python"):
        (root / "usr/bin" / name).symlink_to("python3.11")
    for name, text in _TEXTS.items():
        (root / name).write_text(text, encoding="utf-8")
    for name in FOLDERS.split():
        (root / name).mkdir(parents=True, exist_ok=True)
    _bundle_certificates(root)
    libraries = root / "usr/lib" / platform.triplet
    for name in _CHOSEN:
        if (libraries / name).exists():
            (libraries / Path(name).name).symlink_to(name)
    for name in ("usr/lib/python3.11", _PYTHON_PACKAGES):
        if (root / name).is_dir():
            compile_tree(root / name, name, progress)


def _bundle_certificates(root: Path) -> None:
    bundle = root / _BUNDLE
    bundle.parent.mkdir(parents=True)
    texts = (path.read_text("ascii").strip() for path in _sorted_files(root / _CERTIFICATES))
    bundle.write_text("\n".join(texts) + "\n", encoding="ascii")
    shutil.rmtree(root / _CERTIFICATES)
    (root / "usr/lib/ssl").mkdir(exist_ok=True)
    # Where OpenSSL, and so Python, looks if it is told nothing else.
    (root / "usr/lib/ssl/cert.pem").symlink_to(f"../../../{_BUNDLE}")


def _write(layer: LayerWriter, root: Path) -> None:
    layer.folder("tmp", mode=0o1777)
    layer.tree(root, "")


def _sorted_files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*.crt") if path.is_file())
