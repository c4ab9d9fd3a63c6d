"""The small layers: scorer host, models and scorer code. They are the same on every platform."""

import hashlib
import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.bytecode import compile_tree
from skerry_cloud.compiler.layers import LayerShelf, LayerWriter
from skerry_cloud.compiler.request import (
    MODELS_FOLDER,
    FileEntry,
    Layer,
    ModelFiles,
    Progress,
)
from skerry_contract.errors import ContractError, RuntimeFailedError

APP_FOLDER = "var/azureml-app"
HOST_FOLDER = "opt/skerry/host"
HOST_PACKAGE = "skerry_scorer"
CARRIED = "paho"
"""Package that travels with the scorer host: what reads MQTT topics."""
CARRIED_FOLDER = "carried"
"""Where it lies in the host's package: on no path until it is needed, so it hides nothing."""


def find_host() -> Path:
    """Return the folder of the scorer host's package, without importing it.

    Raises:
        RuntimeFailedError: It is not installed.
    """
    found = importlib.util.find_spec(HOST_PACKAGE)
    if found is None or found.origin is None:
        raise RuntimeFailedError(
            f"the package {HOST_PACKAGE} is not installed on the server",
            remedy="Install the server again: pip install 'skerry[cloud]'.",
        )
    return Path(found.origin).parent


def find_carried() -> Path:
    """Return the folder of the MQTT client that travels with the scorer host.

    Raises:
        RuntimeFailedError: It is not installed.
    """
    found = importlib.util.find_spec(CARRIED)
    if found is None or found.origin is None:
        raise RuntimeFailedError(
            "paho-mqtt is not installed on the server",
            remedy="Install the server again: pip install 'skerry[cloud]'.",
        )
    return Path(found.origin).parent


def host_layer(package: Path, shelf: LayerShelf, progress: Progress) -> Layer:
    """Return the layer with the scorer host.

    Args:
        package: Folder of its package.
        shelf: Where layers are remembered.
        progress: Is told what takes time.
    """
    sources = _sources(package, "") | _sources(find_carried(), f"{CARRIED_FOLDER}/{CARRIED}/")
    facts = [[name, hashlib.sha256(data).hexdigest()] for name, data in sources.items()]

    def fill(layer: LayerWriter) -> None:
        progress("adding the scorer host")
        with tempfile.TemporaryDirectory() as scratch:
            for name, data in sources.items():
                target = Path(scratch, HOST_PACKAGE, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            compile_tree(Path(scratch), HOST_FOLDER, progress)
            layer.tree(Path(scratch), HOST_FOLDER)

    return shelf.layer("scorer host", "scorer host", facts, fill)


def model_layer(
    model: ModelFiles, blobs: BlobStore, shelf: LayerShelf, progress: Progress
) -> Layer:
    """Return the layer with one model, written straight from its blobs.

    Raises:
        NotFoundError: A file's bytes are not in the blob store.
        ContractError: A file's size is not what the request says.
    """

    def fill(layer: LayerWriter) -> None:
        size = sum(file.size for file in model.files)
        progress(f"adding model {model.reference}, {size / 1e6:.1f} MB")
        _add_files(layer, model_folder(model), model.files, blobs)

    facts = [model.name, model.version, _facts(model.files)]
    return shelf.layer("models", f"model {model.reference}", facts, fill)


def code_layer(
    files: Sequence[FileEntry], blobs: BlobStore, shelf: LayerShelf, progress: Progress
) -> Layer:
    """Return the layer with the scorer's folder.

    Raises:
        NotFoundError: A file's bytes are not in the blob store.
        ContractError: A file's size is not what the request says.
    """

    def fill(layer: LayerWriter) -> None:
        progress(f"adding the scorer's {len(files)} files")
        _add_files(layer, APP_FOLDER, files, blobs)

    return shelf.layer("scorer code", "scorer code", _facts(files), fill)


def model_folder(model: ModelFiles) -> str:
    """Return where a model lies below the root."""
    return f"{APP_FOLDER}/{MODELS_FOLDER}/{model.name}/{model.version}"


def _sources(package: Path, prefix: str) -> dict[str, bytes]:
    return {
        prefix + path.relative_to(package).as_posix(): path.read_bytes()
        for path in sorted(package.rglob("*.py"))
    }


def _facts(files: Sequence[FileEntry]) -> list[list[str]]:
    return [[file.path, file.digest] for file in _ordered(files)]


def _ordered(files: Sequence[FileEntry]) -> list[FileEntry]:
    return sorted(files, key=lambda file: file.path.split("/"))


def _add_files(
    layer: LayerWriter, prefix: str, files: Sequence[FileEntry], blobs: BlobStore
) -> None:
    for file in _ordered(files):
        size = blobs.size(file.digest)
        if size != file.size:
            raise ContractError(f"{file.path} has {size} bytes, the request says {file.size}")
        with blobs.open(file.digest) as source:
            layer.file(f"{prefix}/{file.path}", source, size)
