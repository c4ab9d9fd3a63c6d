"""What the compiler is given and what it gives back, and the one place that judges paths."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from skerry_contract.errors import ModelError, ScorerError, SkerryError
from skerry_contract.names import Digest, Reference, check_digest, check_model_name, check_name

MAX_FILES = 100_000
"""Most files of one model or one scorer."""
MAX_PATH_BYTES = 1024
MODELS_FOLDER = "azureml-models"
"""Where models lie beside the scorer; a scorer may not bring a folder of that name."""

GZIP_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
"""Media type of the layers that are made here."""

Progress = Callable[[str], None]
"""Is told in one line what happens now, for the person who waits."""
Kind = Literal["base", "environment", "scorer host", "models", "scorer code"]
Checked = Literal["yes", "not-asked", "no-emulator", "no-sandbox", "emulator-failed"]
"""Whether ``init()`` and the golden set ran well, or why they were not judged: nobody asked, the
builder cannot run the platform or has no sandbox for a given base, or its emulator crashed or
hung."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file whose bytes are in the blob store.

    Attributes:
        path: Relative path with forward slashes.
        digest: Digest of its bytes.
        size: Length in bytes.
    """

    path: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One version of a model.

    Attributes:
        name: Name of the model.
        version: Its version, from 1.
        files: Its files.
        framework: What it was made with; empty where nobody said.
        framework_version: And with which version of that.
    """

    name: str
    version: int
    files: tuple[FileEntry, ...]
    framework: str = ""
    framework_version: str = ""

    @property
    def reference(self) -> Reference:
        """``name:version``."""
        return Reference(self.name, self.version)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    Attributes:
        kind: What it holds.
        title: The same for people, with names: ``model face:1``.
        digest: Digest of the layer as it is stored and pulled.
        size: Its length in bytes.
        diff_id: Digest of the uncompressed layer.
        reused: An earlier build had made it already.
        media_type: Its form; uncompressed only if it came with a base.
    """

    kind: Kind
    title: str
    digest: Digest
    size: int
    diff_id: Digest
    reused: bool
    media_type: str = GZIP_LAYER


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image to use as the base, whose blobs are in the blob store.

    Attributes:
        digest: Digest of its manifest.
        layers: Its layers, lowest first.
        variables: Its environment variables; those of the module win over them.
        labels: Its labels; the same holds for them.
    """

    digest: Digest
    layers: tuple[Layer, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Base:
    """What a module stands on.

    Attributes:
        layers: Its layers, lowest first.
        provided: Python packages with their versions that it brings for want of wheels.
        python: Path in the image of the Python that the module runs with.
        tree: Where its layers are laid out as one root, if it is not Skerry's own.
    """

    layers: tuple[Layer, ...]
    provided: Mapping[str, str] = field(default_factory=dict)
    python: str = "/usr/bin/python3.11"
    tree: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What one image is made of.

    Attributes:
        name: Name of the module.
        version: Its version, from 1.
        platform: ``linux/amd64``, ``linux/arm64`` or ``linux/arm/v7``.
        models: Models, each of which becomes a layer.
        files: The scorer's folder: the entry script and what lies beside it.
        entry_script: Path of the script with ``init()`` and ``run()`` in ``files``.
        environment: Path of a requirements or conda file or of a ``pyproject.toml`` in ``files``,
            that with extras and groups in brackets; "" for none.
        check_init: Run ``init()`` and the golden set once, if the platform is that of this machine.
        base: Image to use as the base; None for Skerry's own, made from Debian packages.
    """

    name: str
    version: int
    platform: str
    models: tuple[ModelFiles, ...]
    files: tuple[FileEntry, ...]
    entry_script: str
    environment: str = ""
    check_init: bool = True
    base: BaseImage | None = None

    @property
    def reference(self) -> Reference:
        """``name:version``."""
        return Reference(self.name, self.version)


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image; its manifest, config and layers are in the blob store.

    Attributes:
        platform: Platform it runs on.
        digest: Digest of its manifest.
        size: Length of its manifest in bytes.
        config: Digest of its config, which is Docker's image id.
        config_size: Length of its config in bytes.
        layers: From the most to the least stable.
        checked: Whether it was tried.
    """

    platform: str
    digest: Digest
    size: int
    config: Digest
    config_size: int
    layers: tuple[Layer, ...]
    checked: Checked = "not-asked"

    @property
    def total_size(self) -> int:
        """Bytes that a device without any of it must pull."""
        return self.size + self.config_size + sum(layer.size for layer in self.layers)


def files_digest(files: Sequence[FileEntry]) -> Digest:
    """Return one digest for a folder: that of its paths and their digests, in order of the paths.

    It is the SHA-256 of the JSON ``[[path, digest], …]`` in UTF-8, without blanks.
    """
    listed = sorted([file.path, file.digest] for file in files)
    written = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
    return Digest(f"sha256:{hashlib.sha256(written.encode()).hexdigest()}")


def check_request(request: BuildRequest) -> None:
    """Refuse a request whose names or paths cannot become an image.

    Raises:
        NameInvalidError: A name or digest is spelled wrongly.
        ModelError: A model has no files, or a path that leaves its folder.
        ScorerError: The same for the scorer.
    """
    check_name(request.name)
    check_files(request.files, f"scorer of {request.reference}", ScorerError)
    for file in request.files:
        if file.path.split("/")[0] == MODELS_FOLDER:
            raise ScorerError(
                f"scorer of {request.reference}: {file.path!r} is where models are put",
                remedy=f"Rename the folder {MODELS_FOLDER}.",
            )
    for model in request.models:
        check_model_name(model.name)
        check_files(model.files, f"model {model.reference}", ModelError)
    if len({model.reference for model in request.models}) != len(request.models):
        raise ModelError(f"{request.reference} names a model twice")


def check_files(files: Sequence[FileEntry], subject: str, error: type[SkerryError]) -> None:
    """Refuse an empty list, an unsafe path, and two files that want the same place.

    Args:
        files: What somebody uploaded.
        subject: Whose files these are, for the error's text.
        error: Class of the error to raise.

    Raises:
        NameInvalidError: A digest is spelled wrongly.
    """
    if not 0 < len(files) <= MAX_FILES:
        raise error(f"{subject} has {len(files)} files, expected 1 to {MAX_FILES}")
    paths = {file.path for file in files}
    if len(paths) != len(files):
        raise error(f"{subject} names a path twice")
    for file in files:
        check_digest(file.digest)
        reason = _unsafe(file.path)
        if reason:
            raise error(
                f"{subject}: {file.path!r:.120} {reason}",
                remedy="Use relative paths with forward slashes that stay inside the folder.",
            )
        parts = file.path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in paths:
                raise error(f"{subject}: {'/'.join(parts[:depth])!r} is a file and a folder")


def _unsafe(path: str) -> str:
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path) or "\\" in path:
        return "holds a control character or a backslash"
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in path):
        return "is not Unicode"
    if path.startswith("/"):
        return "is absolute"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "has an empty, '.' or '..' part"
    if any(len(part.encode()) > 255 for part in parts):
        return "has a part of more than 255 bytes"
    return ""
