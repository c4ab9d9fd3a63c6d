"""An image as a build context: a Dockerfile, and files that a person can read and change.

Models and the scorer's code lie there as files. What a Dockerfile could only get from the network,
the base and the environment, lies there as the tars of its layers, so ``docker build --network
none`` makes the same file system again.
"""

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from skerry.durable import write_file
from skerry.files import name_problem
from skerry.images.documents import Descriptor, ModuleImages, PlatformImage
from skerry.images.layout import Count, fetch
from skerry.images.reports import LOCK
from skerry.images.source import Blobs
from skerry_contract.errors import DigestError, RuntimeFailedError

APP = "var/azureml-app/"
MODELS = f"{APP}azureml-models/"
_PLACES = ((MODELS, "azureml-models"), (APP, "azureml-app"))
"""Folders of the image, the inner one first, and where their files go in the context."""
_AS_FILES = ("models", "scorer code")
_SUFFIXES = {"+gzip": ".tar.gz", ".tar": ".tar"}


def write_context(found: ModuleImages, blobs: Blobs, folder: Path, on_bytes: Count) -> None:
    """Write the only image of ``found`` as a build context into an empty folder.

    Raises:
        DigestError: A blob is not what its digest promised.
        RuntimeFailedError: A layer is in a form that no Dockerfile can add.
    """
    [image] = found.images
    (folder / "layers").mkdir()
    lines = []
    for number, layer in enumerate(image.manifest.layers, 1):
        kind = image.kinds[number - 1] if number <= len(image.kinds) else "layer"
        name = f"layers/{number}-{kind.replace(' ', '-')}{_suffix(layer)}"
        fetch(blobs, layer, folder / name, on_bytes)
        if kind == "base" and image.kinds.count("base") > 1:
            _check_addable(folder / name)
        if kind in _AS_FILES:
            _unpack(folder / name, folder)
            (folder / name).unlink()
        else:
            lines.append(f"ADD {name} /")
    for inside, outside in _PLACES:
        if (folder / outside).is_dir():
            lines.append(f"COPY {outside}/ /{inside}")
    for artifact in image.artifacts:
        if artifact.kind == LOCK:
            fetch(blobs, artifact.content, folder / "environment.lock", on_bytes)
    write_file(folder / "Dockerfile", dockerfile(found, image, lines).encode())


def dockerfile(found: ModuleImages, image: PlatformImage, filled_by: Sequence[str]) -> str:
    """Return the Dockerfile.

    Args:
        found: Whose image it is.
        image: How it starts.
        filled_by: The lines that bring its files.
    """
    start = image.start
    called = f"{found.name}:{found.tag}"
    lines = [
        f"# {called} for {image.platform}, {image.document.digest}.",
        f"# Build it with: docker build --network none -t {called} .",
        "# environment.lock says which packages layers/*-environment.tar.gz holds.",
        "FROM scratch",
        *filled_by,
        *(f"ENV {name}={_quoted(value)}" for name, value in _split(start.Env or ()).items()),
        *(f"LABEL {_quoted(name)}={_quoted(text)}" for name, text in (start.Labels or {}).items()),
        *(f"EXPOSE {port}" for port in start.ExposedPorts or ()),
        *([f"WORKDIR {start.WorkingDir}"] if start.WorkingDir else []),
        *([f"USER {start.User}"] if start.User else []),
        *([f"ENTRYPOINT {_listed(start.Entrypoint)}"] if start.Entrypoint else []),
        *([f"CMD {_listed(start.Cmd)}"] if start.Cmd else []),
    ]
    return "\n".join(lines) + "\n"


def _split(variables: Sequence[str]) -> Mapping[str, str]:
    return dict(one.partition("=")[::2] for one in variables)


def _quoted(text: str) -> str:
    for letter in ("\\", '"', "$"):
        text = text.replace(letter, f"\\{letter}")
    return f'"{text}"'


def _listed(words: Sequence[str]) -> str:
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    return "[" + ", ".join(f'"{word}"' for word in quoted) + "]"


def _suffix(layer: Descriptor) -> str:
    for end, suffix in _SUFFIXES.items():
        if layer.mediaType.endswith(end):
            return suffix
    raise RuntimeFailedError(
        f"layer {layer.digest} is {layer.mediaType}, which no Dockerfile adds",
        remedy="Use oci:DIR, or build the module with gzip layers.",
    )


def _check_addable(archive: Path) -> None:
    """Refuse a layer that hides files of those below it, which ``ADD`` does not do."""
    with tarfile.open(archive, "r:*") as tar:
        for entry in tar:
            if entry.name.rpartition("/")[2].startswith(".wh."):
                raise RuntimeFailedError(
                    f"{archive.name} hides files of layers below it, which no Dockerfile does",
                    remedy="Use oci:DIR or docker-archive:FILE.",
                )


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a layer that holds files below the app's folder and nothing else."""
    with tarfile.open(archive, "r:*") as tar:
        for entry in tar:
            name = entry.name.removeprefix("./").rstrip("/")
            if entry.isdir() and not name_problem(name):
                continue
            target = _place(name)
            content = tar.extractfile(entry) if entry.isreg() and target else None
            if content is None or target is None:
                raise DigestError(f"{entry.name!r:.200} does not belong into a layer of files")
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                while piece := content.read(1024 * 1024):
                    out.write(piece)
            path.chmod(0o755 if entry.mode & 0o100 else 0o644)


def _place(name: str) -> str | None:
    if name_problem(name):
        return None
    for inside, outside in _PLACES:
        if name.startswith(inside):
            return f"{outside}/{name.removeprefix(inside)}"
    return None
