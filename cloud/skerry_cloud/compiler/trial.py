"""Run a finished module once on this machine: ``init()`` and the golden set, within a time limit.

What an entry script does wrong shows here in seconds, instead of on a device. The module runs with
the image's own Python and libraries, under bubblewrap without network where that works.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.layers import SCRATCH
from skerry_cloud.compiler.platforms import Platform, find_platform
from skerry_cloud.compiler.request import (
    MODELS_FOLDER,
    Base,
    BuildRequest,
    Checked,
    FileEntry,
    Image,
    Progress,
)
from skerry_cloud.compiler.trees import prune, unpack_layer
from skerry_cloud.compiler.trial_child import started
from skerry_cloud.compiler.trial_command import Trees, plain_command, sandbox_command
from skerry_cloud.compiler.trial_group import own_group
from skerry_cloud.compiler.trial_watch import Limits, Watch, watched
from skerry_contract.errors import GoldenError, InitFailedError, SkerryError

DEADLINE_S = 180.0
"""Seconds for ``init()`` and the golden set together."""

_LOOK_S = 0.05
_LONGEST_LOOK_S = 0.5
_ANSWER_BYTES = 1024 * 1024
_SKIP = "Build without the check if init() can only work on a device."


@dataclass(frozen=True, slots=True)
class How:
    """How a trial runs.

    Attributes:
        sandboxed: Under bubblewrap, else as a plain child.
        deadline_s: Seconds that it may take in all.
        limits: What it may take in all; each process may write to as much memory as all together.
        emulator: Program that runs it, where this machine cannot.
        root: Where the layers of a given base are laid out; None for Skerry's own.
        python: Path in the image of its Python.
    """

    sandboxed: bool
    deadline_s: float = DEADLINE_S
    limits: Limits = field(default_factory=Limits)
    emulator: Path | None = None
    root: Path | None = None
    python: str = "/usr/bin/python3.11"


def find_how(platform: Platform, base: Base) -> How | None:
    """Return how this machine can try a module of ``platform``, or None if it cannot at all.

    Args:
        platform: Where the module is to run.
        base: What it stands on; the programs of a given one run in a sandbox only.
    """
    if platform.is_here:
        sandboxed = sandbox_works()
        if base.tree and not sandboxed:
            return None
        return How(sandboxed=sandboxed, root=base.tree, python=base.python)
    emulator = shutil.which(platform.emulator)
    # As a plain child, an emulated program would look for its files on this machine.
    if emulator is None or not sandbox_works():
        return None
    return How(sandboxed=True, emulator=Path(emulator), root=base.tree, python=base.python)


def try_module(
    request: BuildRequest,
    image: Image,
    blobs: BlobStore,
    trees: Path,
    progress: Progress,
    *,
    how: How,
) -> Checked:
    """Run ``init()`` and the golden set of ``image`` in a child process.

    An emulator may crash or hang where the device does not: under one, only what the script or the
    golden set itself says counts; the rest is told, and the image counts as ``emulator-failed``.

    Args:
        request: What the image was made of.
        image: The image.
        blobs: Where it is.
        trees: Where unpacked layers are kept between builds.
        progress: Is told what takes time.
        how: Under what, and within which limits.

    Raises:
        InitFailedError: The script could not be imported, or ``init()`` raised or took too long.
        GoldenError: The module answers its golden set differently.
        RuntimeFailedError: The image's own Python cannot be started here.
    """
    with tempfile.TemporaryDirectory(dir=trees.parent, prefix=SCRATCH) as scratch:
        parts = _lay_out(request, image, blobs, trees, Path(scratch), how)
        progress(f"trying init(){_aside(how)}")
        make = sandbox_command if how.sandboxed else plain_command
        command, variables = make(request, find_platform(image.platform), parts, how.emulator)
        # Below this server, so that a trial which runs wild does not keep it from ending it.
        held = ["nice", "-n", "5", "prlimit", "--core=0", f"--data={how.limits.memory_bytes}"]
        deadline = time.monotonic() + how.deadline_s
        with (
            own_group(how.limits.memory_bytes, how.limits.processes) as group,
            started(group.entering([*held, *command]), variables, parts.app) as (child, tail),
            watched(child, parts.run, group, how.limits) as watch,
        ):
            trial = _Trial(request, parts, deadline, tail, watch)
            try:
                trial.wait_for_init(child)
                trial.check_golden(progress)
            except _UnjudgedError as error:
                meaning = trial.with_reason(error.meaning)
                if how.emulator is None:
                    raise meaning from error
                progress(f"not checked: {meaning.text}, under {how.emulator.name}")
                return "emulator-failed"
    return "yes"


def _aside(how: How) -> str:
    return (f" under {how.emulator.name}" if how.emulator else "") + (
        "" if how.sandboxed else " without a sandbox"
    )


def sandbox_works() -> bool:
    """Return whether bubblewrap is here and may make namespaces."""
    command = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "true"]
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    return False


class _UnjudgedError(Exception):
    """A trial ended without a word of the script or the golden set, which may be an emulator's."""

    def __init__(self, meaning: SkerryError) -> None:
        super().__init__(meaning.text)
        self.meaning = meaning


class _Trial:
    """One run of a module; judges what comes out of it."""

    def __init__(
        self,
        request: BuildRequest,
        parts: Trees,
        deadline: float,
        tail: Callable[[], str],
        watch: Watch,
    ) -> None:
        self._request = request
        self._parts = parts
        self._deadline = deadline
        self._tail = tail
        self._watch = watch

    def wait_for_init(self, child: subprocess.Popen[bytes]) -> None:
        subject = f"{self._request.reference}: {self._request.entry_script}"
        pause_s = _LOOK_S
        while time.monotonic() < self._deadline:
            if child.poll() is not None:
                raise self._ended(child.returncode)
            with suppress(OSError, http.client.HTTPException):
                if self._ask("GET", "/skerry/status", timeout_s=5.0).get("ready") is True:
                    return
            time.sleep(pause_s)
            # Being asked costs time that a trial which hangs should not seem to use.
            pause_s = min(pause_s * 1.1, _LONGEST_LOOK_S)
        self._watch.dump()
        raise _UnjudgedError(
            InitFailedError(
                f"{subject}: init() had not returned in time",
                remedy=_SKIP,
                detail=self._parts.as_in_image(self._tail()),
            )
        )

    def check_golden(self, progress: Progress) -> None:
        progress("checking the golden set")
        try:
            left_s = max(1.0, self._deadline - time.monotonic())
            answer = self._ask("POST", "/skerry/golden", timeout_s=left_s)
        except (OSError, http.client.HTTPException) as error:
            raise _UnjudgedError(
                GoldenError(f"{self._request.reference} did not answer its golden set: {error}")
            ) from error
        if answer.get("passed") is True:
            return
        cases = [case for case in answer.get("cases", []) if not case.get("passed")]
        told = "; ".join(f"{case.get('input')}: {case.get('text')}" for case in cases[:5])
        raise GoldenError(
            f"{self._request.reference} answers {len(cases)} golden cases differently: {told}",
            remedy="Correct the scorer, or golden.json if its expectations are out of date.",
        )

    def _ask(self, method: str, path: str, *, timeout_s: float) -> dict[str, Any]:
        connection = _UnixConnection(self._parts.run, timeout_s)
        try:
            connection.request(method, path, body=b"" if method == "POST" else None)
            answer = connection.getresponse()
            body = answer.read(_ANSWER_BYTES)
            if answer.status != http.client.OK:
                raise http.client.HTTPException(f"{path} answered {answer.status}: {body[:200]!r}")
            value = json.loads(body)
        except ValueError as error:
            raise http.client.HTTPException(f"{path} answered no JSON") from error
        finally:
            connection.close()
        return value if isinstance(value, dict) else {}

    def with_reason(self, meaning: SkerryError) -> SkerryError:
        """Return an error that says what the trial was ended for, if it was."""
        if not self._watch.reason:
            return meaning
        text = f"{self._request.reference}: the module {self._watch.reason}"
        detail = self._parts.as_in_image(self._tail())
        return type(meaning)(text, remedy=meaning.remedy or _SKIP, detail=detail)

    def _ended(self, status: int) -> InitFailedError | _UnjudgedError:
        inside, output = self._parts.as_in_image, self._tail()
        try:
            with (self._parts.run / "failure.json").open("rb") as file:
                failure = json.loads(file.read(_ANSWER_BYTES))
            text, detail = str(failure["text"]), str(failure.get("detail") or output)
        except (OSError, ValueError, KeyError, TypeError):
            return _UnjudgedError(
                self._failed(
                    f"the module ended with status {status} before init() returned", inside(output)
                )
            )
        return self._failed(inside(text), inside(detail))

    def _failed(self, text: str, detail: str) -> InitFailedError:
        return InitFailedError(f"{self._request.reference}: {text}", remedy=_SKIP, detail=detail)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to the host's socket in a run folder."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        # A socket's path has at most 107 bytes; the folder's descriptor makes any path short.
        handle = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{handle}/host.sock")
        finally:
            os.close(handle)


def _lay_out(
    request: BuildRequest,
    image: Image,
    blobs: BlobStore,
    trees: Path,
    scratch: Path,
    how: How,
) -> Trees:
    copy = not how.sandboxed
    kinds = ("environment", "scorer host") if how.root else ("base", "environment", "scorer host")
    found: dict[str, Path] = {"base": how.root} if how.root else {}
    found |= {
        layer.kind: unpack_layer(blobs, layer, trees)
        for layer in image.layers
        if layer.kind in kinds
    }
    prune(trees, keep=set(found.values()))
    app, run = scratch / "app", scratch / "run"
    run.mkdir()
    (app / MODELS_FOLDER).mkdir(parents=True)
    _place(app, request.files, blobs, copy=copy)
    for model in request.models:
        folder = app / MODELS_FOLDER / model.name / str(model.version)
        _place(folder, model.files, blobs, copy=copy)
    (run / "settings.json").write_text('{"inputs": {}, "stream": "scores"}', encoding="utf-8")
    base, host = found["base"], found["scorer host"]
    environment = found.get("environment")
    return Trees(base=base, environment=environment, host=host, app=app, run=run, python=how.python)


def _place(folder: Path, files: Sequence[FileEntry], blobs: BlobStore, *, copy: bool) -> None:
    """Put files where the module sees them; links are safe only where it cannot write."""
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with blobs.file(file.digest) as source:
            if not copy:
                with suppress(OSError):
                    os.link(source, target)
                    continue
            shutil.copyfile(source, target)
