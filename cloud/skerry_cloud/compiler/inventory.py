"""What software a layer really holds: read from the layer itself, whoever made it.

Debian's packages leave a note in ``var/lib/dpkg`` and their terms in ``usr/share/doc``, Python's
leave ``METADATA`` in a ``.dist-info`` folder, and the compiler leaves its lock beside those.
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from email.parser import HeaderParser
from pathlib import Path
from typing import Literal

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.environment import ENVIRONMENT_FOLDER, LOCK_NAME
from skerry_cloud.compiler.layers import replace_file
from skerry_cloud.compiler.request import Layer
from skerry_cloud.compiler.terms import debian_terms, python_terms

FORMAT = 1
"""Raised when the same layer reads otherwise than before, so that old records are forgotten."""
MAX_FILE_BYTES = 4 * 1024 * 1024
"""Longest file that is read; what is longer describes no package."""

_NOTE = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+)")
_TERMS = re.compile(r"usr/share/doc/([^/]+)/copyright")
_METADATA = re.compile(r"(?:.*/)?[^/]+\.dist-info/METADATA")
_SYSTEM = re.compile(r"(?:etc|usr/lib)/os-release")
_FOLDED = re.compile(r"\n[ \t]+")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package.

    Attributes:
        kind: ``deb`` or ``pypi``.
        name: As its kind of index spells it.
        version: Its version, epoch included.
        architecture: Debian's word for it; empty for Python.
        licences: What it says its terms are; empty where it says nothing.
        spdx: Whether ``licences`` is one SPDX expression.
        depends: Names of packages of the same kind that it asks for, there or not.
        hashes: SHA-256 in hex of each file that the lock takes for it.
    """

    kind: Literal["deb", "pypi"]
    name: str
    version: str
    architecture: str = ""
    licences: tuple[str, ...] = ()
    spdx: bool = False
    depends: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All software of some layers.

    Attributes:
        packages: In order of kind and name.
        lock: Text of the environment's lock; empty without one.
        system: Whose packages those of kind ``deb`` are, such as ``debian-12``.
    """

    packages: tuple[Package, ...] = ()
    lock: str = ""
    system: str = ""


@dataclass(slots=True)
class _Found:
    """Texts of one layer, as they turn up."""

    notes: list[str] = field(default_factory=list)
    terms: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    metadata: list[str] = field(default_factory=list)
    lock: str = ""
    system: str = ""


def take_inventory(
    layers: Iterable[Layer], blobs: BlobStore, records: Path, tree: Path | None = None
) -> Inventory:
    """Return what is installed in ``layers``, of which the later ones win.

    Args:
        layers: Those of one image, lowest first.
        blobs: Where they are.
        records: Folder that remembers what was found in a layer; losing it costs only time.
        tree: What lies below ``layers``: a root that several layers made, laid out.

    Raises:
        NotFoundError: A layer is not in the blob store.
    """
    records.mkdir(parents=True, exist_ok=True)
    packages: dict[tuple[str, str], Package] = {}
    lock = system = ""
    parts = [read_tree(tree)] if tree else []
    parts += [_of_layer(layer, blobs, records) for layer in layers]
    for found in parts:
        packages.update({(one.kind, one.name): one for one in found.packages})
        lock, system = found.lock or lock, found.system or system
    hashes = locked_hashes(lock)
    listed = (replace(one, hashes=_hashes(one, hashes)) for _, one in sorted(packages.items()))
    return Inventory(tuple(listed), lock, system)


def read_layer(archive: tarfile.TarFile) -> Inventory:
    """Return what one unpacked layer holds."""
    found = _Found()
    for entry in archive:
        name = entry.name.removeprefix("./").removeprefix("/")
        if entry.issym() and name.startswith("usr/share/doc/"):
            found.links[name.removeprefix("usr/share/doc/")] = entry.linkname
        if entry.isfile() and 0 < entry.size <= MAX_FILE_BYTES and _is_telling(name):
            content = archive.extractfile(entry)
            if content is not None:
                _sort_in(name, content.read().decode("utf-8", "replace"), found)
    return _summed_up(found)


def read_tree(tree: Path) -> Inventory:
    """Return what a root holds that is laid out in a folder; no link in it is followed."""
    found = _Found()
    for folder, folders, names in os.walk(tree):
        for name in sorted((*folders, *names)):
            path = Path(folder, name)
            place = path.relative_to(tree).as_posix()
            if path.is_symlink():
                if place.startswith("usr/share/doc/"):
                    found.links[place.removeprefix("usr/share/doc/")] = str(path.readlink())
            elif _is_telling(place) and path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
                _sort_in(place, path.read_bytes().decode("utf-8", "replace"), found)
    return _summed_up(found)


def _summed_up(found: _Found) -> Inventory:
    packages = [*_debian(found), *(_python(text) for text in found.metadata)]
    known = {(one.kind, one.name): one for one in packages if one.name and one.version}
    return Inventory(tuple(one for _, one in sorted(known.items())), found.lock, found.system)


def locked_hashes(lock: str) -> dict[str, tuple[str, ...]]:
    """Return the SHA-256 of the files that a requirements file with hashes allows, by name."""
    found = {}
    for entry in re.split(r"(?<!\\)\n", lock):
        name = _NAME.match(entry)
        if name is not None:
            found[normal_name(name[0])] = tuple(sorted(_HASH.findall(entry)))
    return found


def normal_name(name: str) -> str:
    """Return how the package index spells a name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _of_layer(layer: Layer, blobs: BlobStore, records: Path) -> Inventory:
    written = json.dumps([FORMAT, layer.diff_id])
    record = records / f"{hashlib.sha256(written.encode()).hexdigest()}.json"
    try:
        known = json.loads(record.read_bytes())
        packages = tuple(_recalled(one) for one in known["packages"])
        return Inventory(packages, known["lock"], known["system"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # A torn record is as good as none: the layer is read again.
    with blobs.open(layer.digest) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        found = read_layer(archive)
    replace_file(record, json.dumps(asdict(found)).encode())
    return found


def _recalled(one: Mapping[str, object]) -> Package:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()}
    return Package(**values)  # type: ignore[arg-type]  # we wrote it; what does not fit is a TypeError


def _hashes(package: Package, locked: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return locked.get(package.name, ()) if package.kind == "pypi" else ()


def _is_telling(name: str) -> bool:
    if name == f"{ENVIRONMENT_FOLDER}/{LOCK_NAME}":
        return True
    return any(pattern.fullmatch(name) for pattern in (_NOTE, _TERMS, _METADATA, _SYSTEM))


def _sort_in(name: str, text: str, found: _Found) -> None:
    if terms := _TERMS.fullmatch(name):
        found.terms[terms[1]] = text
    elif _NOTE.fullmatch(name):
        found.notes.extend(re.split(r"\n\s*\n", text.strip()))
    elif _METADATA.fullmatch(name):
        found.metadata.append(text)
    elif _SYSTEM.fullmatch(name):
        facts = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)"?$', text, re.MULTILINE))
        found.system = "-".join(filter(None, (facts.get("ID", ""), facts.get("VERSION_ID", ""))))
    else:
        found.lock = text


def _debian(found: _Found) -> Iterable[Package]:
    for note in found.notes:
        fields: dict[str, str] = dict(
            re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", _FOLDED.sub(" ", note), re.MULTILINE)
        )
        if "not-installed" in fields.get("Status", "") or "config-files" in fields.get(
            "Status", ""
        ):
            continue
        name = fields.get("Package", "")
        # A folder of documents may be a link to that of another package of the same source.
        folder = found.links.get(name, name).rstrip("/").rpartition("/")[2]
        wanted = ", ".join(fields.get(key, "") for key in ("Pre-Depends", "Depends"))
        yield Package(
            "deb",
            name,
            fields.get("Version", ""),
            fields.get("Architecture", ""),
            debian_terms(found.terms.get(folder, "")),
            depends=_first_words(re.split(r"[,|]", wanted)),
        )


def _python(text: str) -> Package:
    headers = HeaderParser().parsestr(text)
    terms = python_terms(headers)
    wanted = [line for line in headers.get_all("Requires-Dist", ()) if "extra ==" not in line]
    return Package(
        "pypi",
        normal_name(headers.get("Name", "")),
        headers.get("Version", ""),
        licences=terms.licences,
        spdx=terms.spdx,
        depends=tuple(dict.fromkeys(normal_name(name) for name in _first_words(wanted))),
    )


def _first_words(texts: Sequence[str]) -> tuple[str, ...]:
    words = (_NAME.match(text.strip()) for text in texts)
    return tuple(dict.fromkeys(word[0] for word in words if word))
