"""All files of one model: what they are, together."""

import posixpath
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from skerry_cloud.formats import mlflow
from skerry_cloud.formats.archives import RefusedError
from skerry_cloud.formats.finding import DamagedError, Finding, TooCostlyError
from skerry_cloud.formats.recognise import look
from skerry_cloud.formats.source import Budget, Source
from skerry_contract.errors import ModelError

FILE_BYTES = 512 * 1024 * 1024
"""Most bytes that are read or decompressed of one file."""
FILE_S = 20.0
MODEL_S = 60.0
"""Seconds that one model may take; what comes after is told to be not examined."""
MAX_FINDINGS = 500
"""Findings that are kept of one model: those that execute code first."""


class FileOfModel(Protocol):
    """What is known of a file: its path, where its bytes are and how many there are."""

    @property
    def path(self) -> str:
        """Relative path, with slashes."""
        ...

    @property
    def digest(self) -> str:
        """Content address of its bytes."""
        ...

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Examined:
    """What the files of a model are.

    Attributes:
        findings: What was recognised, in the order of the files.
    """

    findings: tuple[Finding, ...]

    @property
    def mlflow(self) -> Finding | None:
        """What an MLmodel file says, if there is one."""
        return next((one for one in self.findings if one.format == "mlflow"), None)


def examine(
    files: Sequence[FileOfModel],
    open_blob: Callable[[str], BinaryIO],
    *,
    owner: str,
    clock: Callable[[], float] = time.monotonic,
) -> Examined:
    """Look at all files of a model.

    Args:
        files: The files.
        open_blob: Opens the bytes behind a digest; the file must be able to seek.
        owner: Whose files these are, for the text of errors.
        clock: Seconds that only go up.

    Raises:
        ModelError: An archive that must not be unpacked, a safetensors file that does not keep to
            the format, or an ONNX model whose weights are no files of the same model.
    """
    until = clock() + MODEL_S
    paths = {file.path for file in files}
    found: list[Finding] = []
    for file in files:
        seconds = min(FILE_S, until - clock())
        of_file = _of_file(file, open_blob, Budget(FILE_BYTES, seconds, clock), owner)
        _check_needs(of_file, paths, owner)
        found += of_file
    return Examined(tuple(_kept(found)))


def _of_file(
    file: FileOfModel, open_blob: Callable[[str], BinaryIO], budget: Budget, owner: str
) -> list[Finding]:
    with open_blob(file.digest) as blob:
        source = Source(blob, file.size, budget)
        try:
            if posixpath.basename(file.path) == mlflow.NAME:
                found = _mlflow(source, file.path)
                if found:
                    return [found]
            return look(source, file.path)
        except (RefusedError, DamagedError) as error:
            raise ModelError(
                f"{owner}: {file.path} is refused: {error}",
                remedy="Make the file anew with the tool it is from, without this.",
            ) from error


def _mlflow(source: Source, path: str) -> Finding | None:
    try:
        return mlflow.read(source, path)
    except (DamagedError, TooCostlyError):
        return None


def _check_needs(found: Sequence[Finding], paths: set[str], owner: str) -> None:
    for one in found:
        folder = posixpath.dirname(one.path.split("!/")[0])
        inside = "!/" in one.path
        for needed in one.needs:
            plain = needed and not needed.startswith("/") and "\\" not in needed
            if plain and ".." not in needed.split("/"):
                if inside or posixpath.normpath(posixpath.join(folder, needed)) in paths:
                    continue
                what, remedy = "is no file of this model", "Register the folder that holds both."
            else:
                what, remedy = "leads out of the model", "Save it with its weights inside."
            raise ModelError(
                f"{owner}: {one.path} reads its weights from {needed[:200]!r}, which {what}",
                remedy=remedy,
            )


def _kept(found: Sequence[Finding]) -> Iterator[Finding]:
    dangerous = [one for one in found if one.executes_code]
    others = [one for one in found if not one.executes_code]
    room = max(0, MAX_FINDINGS - len(dangerous))
    kept = {id(one) for one in (*dangerous[:MAX_FINDINGS], *others[:room])}
    return (one for one in found if id(one) in kept)
