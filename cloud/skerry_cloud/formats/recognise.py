"""One file: what its bytes are, and what is in it."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence

from skerry_cloud.formats import (
    compressed,
    keras,
    numpy_files,
    onnx,
    pickles,
    safetensors,
    saved_model,
    tflite,
)
from skerry_cloud.formats.archives import (
    PlainTar,
    TarMembers,
    check_ratio,
    is_tar,
    open_zip,
    zip_bytes,
    zip_members,
)
from skerry_cloud.formats.finding import DamagedError, Finding, TooCostlyError
from skerry_cloud.formats.source import BLOCK, Source

MAX_NESTING = 3
"""Archives within archives that are looked into."""
MEMBER_HEAD = 4 * 1024 * 1024
"""Bytes of an archive's member that are looked at."""
_TAR_BLOCK = 512
_UNSEEN = "it was not looked through to its end"

_Reader = Callable[[Source, str], Finding | None]
_READERS: Sequence[tuple[str, _Reader]] = (
    ("tflite", tflite.read),
    ("numpy", numpy_files.read),
    ("hdf5", keras.read_hdf5),
    ("onnx", onnx.read),
    ("saved-model", saved_model.read),
)


def look(source: Source, path: str, depth: int = 0) -> list[Finding]:
    """Return what a file is: nothing if unknown, several where it can be read in several ways.

    Raises:
        RefusedError: It is an archive that must not be unpacked.
        DamagedError: It is a safetensors file that does not keep to the format.
    """
    found: list[Finding] = []
    try:
        found += _by_start(source, path, depth)
        if not any(one.format.startswith("tar") for one in found):
            found += _as_zip(source, path, depth)
    except TooCostlyError as error:
        why = f"{_UNSEEN}, for that needs {error}"
        known = found[0] if found else Finding(path, "unknown")
        return [*found[1:], Finding(path, known.format, why, facts=known.facts)]
    return found


def _by_start(source: Source, path: str, depth: int) -> Iterator[Finding]:
    start = source.start(BLOCK)
    if (found := _gguf(start, path)) or (found := safetensors.read(source, path)):
        yield found
    elif is_tar(start[:_TAR_BLOCK]):
        yield Finding(path, "tar")
        yield from _in_tar(TarMembers(PlainTar(source)), source, path, depth)
    else:
        yield from _as_pickle(source.start(pickles.HEAD), path)
        yield from _by_readers(source, path)
        yield from _in_stream(source, path, start, depth)


def _by_readers(source: Source, path: str) -> Iterator[Finding]:
    for form, read in _READERS:
        try:
            found = read(source, path)
        except DamagedError as error:
            found = Finding(path, form, facts={"damaged": str(error)})
        if found:
            yield found
            return


def _gguf(start: bytes, path: str) -> Finding | None:
    # GGUF specification (ggml): magic, version, number of tensors, number of key-value pairs.
    if start[:4] != b"GGUF" or len(start) < 24:
        return None
    version, tensors = (int.from_bytes(start[a:b], "little") for a, b in ((4, 8), (8, 16)))
    return Finding(path, "gguf", facts={"version": str(version), "tensors": str(tensors)})


def _as_pickle(data: bytes, path: str, packed: str = "") -> Iterator[Finding]:
    seen = pickles.as_pickle(data)
    if seen is None:
        return
    form = "joblib" if any(name.startswith("joblib.") for name in seen.imports) else "pickle"
    form = "pytorch" if pickles.is_torch(data) else form
    facts = {"imports": ", ".join(seen.imports)}
    facts |= {"compression": packed} if packed else {}
    facts |= {"sklearn_version": pickles.sklearn_version(data)}
    why = "it is a pickle" + (f", which imports {facts['imports']}" if seen.imports else "")
    yield Finding(path, form, why, facts={key: value for key, value in facts.items() if value})


# --- compressed streams ---------------------------------------------------------------------------


def _in_stream(source: Source, path: str, start: bytes, depth: int) -> Iterator[Finding]:
    kind = compressed.kind_of(start)
    if not kind:
        return
    try:
        head = _unpacked_head(source, kind)
    except DamagedError as error:
        if kind not in ("zlib", "lzma"):  # whose marks are too short to be sure
            yield Finding(path, kind, facts={"damaged": str(error)})
        return
    if head is None:
        yield Finding(path, kind, _UNSEEN)
    elif is_tar(head[:_TAR_BLOCK]) and kind != "lz4":
        yield Finding(path, f"tar.{kind}")
        stream = compressed.Unpacked(source, kind)
        yield from _in_tar(TarMembers(stream), source, path, depth, stream)
    else:
        yield from _in_head(source, path, (kind, head), depth)


def _unpacked_head(source: Source, kind: str) -> bytes | None:
    if kind == "lz4":
        return compressed.lz4_start(source)
    if kind == "zstandard":
        return None
    return compressed.Unpacked(source, kind).read(pickles.HEAD)


def _in_head(
    source: Source, path: str, unpacked: tuple[str, bytes], depth: int
) -> Iterator[Finding]:
    kind, head = unpacked
    as_pickle = list(_as_pickle(head, path, kind))
    if as_pickle:
        yield from as_pickle
        return
    if kind not in ("zlib", "lzma"):
        yield Finding(path, kind)
    whole = len(head) < pickles.HEAD and kind != "lz4"
    inner = Source(io.BytesIO(head), len(head), source.budget, whole=whole)
    yield from _deeper(inner, f"{path}!/", depth)


# --- archives -------------------------------------------------------------------------------------


def _in_tar(
    members: TarMembers,
    source: Source,
    path: str,
    depth: int,
    stream: compressed.Unpacked | None = None,
) -> Iterator[Finding]:
    name = ""
    try:
        for member in members:
            name = member.name
            head = members.read(min(member.size, MEMBER_HEAD))
            whole = len(head) == member.size
            inner = Source(io.BytesIO(head), len(head), source.budget, whole=whole)
            yield from _deeper(inner, f"{path}!/{name}", depth)
            if stream is not None:
                check_ratio(name, stream.given, stream.taken)
        if stream is not None:
            check_ratio(name, stream.given, stream.taken)
    except DamagedError as error:
        yield Finding(path, "tar", f"{_UNSEEN}: {error}")


def _as_zip(source: Source, path: str, depth: int) -> Iterator[Finding]:
    try:
        archive = open_zip(source)
    except DamagedError as error:
        yield Finding(path, "zip", f"{_UNSEEN}: {error}")
        return
    if archive is None:
        return
    members = list(zip_members(archive))
    names = [member.name for member, _info in members]
    main = _zip_kind(archive, path, names)
    yield main
    if main.format in ("exported-program", "pytorch", "torchscript"):
        return
    for member, info in members:
        try:
            source.budget.spend(min(member.size, MEMBER_HEAD))
            head = zip_bytes(archive, info, MEMBER_HEAD)
        except DamagedError as error:
            yield Finding(f"{path}!/{member.name}", "unknown", f"{_UNSEEN}: {error}")
            continue
        whole = len(head) == member.size
        inner = Source(io.BytesIO(head), len(head), source.budget, whole=whole)
        yield from _deeper(inner, f"{path}!/{member.name}", depth)


def _zip_kind(archive: zipfile.ZipFile, path: str, names: list[str]) -> Finding:
    """Tell which format uses a zip: by the names that it demands, for that is its mark."""
    ends = {name.split("/", 1)[-1] for name in names}
    if "data.pkl" in ends:
        return _torch(archive, path, names, scripted="constants.pkl" in ends)
    if {"config.json", "metadata.json"} <= set(names):
        config = zip_bytes(archive, archive.getinfo("config.json"), keras.MAX_CONFIG)
        about = zip_bytes(archive, archive.getinfo("metadata.json"), BLOCK)
        return keras.from_config(config, path, "keras", keras.version(about))
    if "archive_format" in ends or "serialized_exported_program.json" in ends:
        return Finding(path, "exported-program", "PyTorch may unpickle what it holds")
    if names and all(name.endswith(".npy") for name in names):
        return Finding(path, "npz")
    return Finding(path, "zip")


def _torch(archive: zipfile.ZipFile, path: str, names: list[str], *, scripted: bool) -> Finding:
    data = next(name for name in names if name.split("/", 1)[-1] == "data.pkl")
    try:
        seen = pickles.as_pickle(zip_bytes(archive, archive.getinfo(data), pickles.HEAD))
    except DamagedError:
        seen = None
    imports = ", ".join(seen.imports) if seen else ""
    facts = {"imports": imports} if imports else {}
    what = f"which imports {imports}" if imports else "its data.pkl"
    if scripted:
        return Finding(path, "torchscript", "TorchScript is a program", facts=facts)
    return Finding(path, "pytorch", f"it holds a pickle, {what}", facts=facts)


def _deeper(inner: Source, path: str, depth: int) -> list[Finding]:
    if depth + 1 > MAX_NESTING:
        start = inner.start(BLOCK)
        packed = start[:2] == b"PK" or is_tar(start[:_TAR_BLOCK]) or compressed.kind_of(start)
        return [Finding(path, "unknown", f"{_UNSEEN}: nested too deeply")] if packed else []
    if not inner.whole and inner.start(2) == b"PK":
        return [Finding(path, "zip", f"{_UNSEEN}: too large inside an archive")]
    return look(inner, path, depth + 1)
