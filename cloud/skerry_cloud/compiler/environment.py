"""The environment layer: an environment file, resolved once to hashes and installed for a platform.

A file is resolved when it is first seen; afterwards the same text gives the same packages, so that
modules built months apart share the layer. Whoever wants newer packages changes the file.
"""

import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from skerry_cloud.compiler.bytecode import compile_tree
from skerry_cloud.compiler.environment_file import PYTHON, Requirements
from skerry_cloud.compiler.layers import SCRATCH, LayerShelf, LayerWriter, replace_file
from skerry_cloud.compiler.lock import gives_hashes, not_locked, with_given_hashes
from skerry_cloud.compiler.platforms import Platform
from skerry_cloud.compiler.programs import Finished, run
from skerry_cloud.compiler.request import Layer, Progress
from skerry_cloud.compiler.stand_in import provide, stand_in
from skerry_cloud.compiler.wheels import Wheel, ask_index, blamed, describe, meant
from skerry_contract.errors import EnvironmentFileError, NetworkError

ENVIRONMENT_FOLDER = "opt/skerry/env"
LOCK_NAME = "environment.lock"
"""The lock travels in the layer, for audits."""

_RESOLVE_S = 180.0
_INSTALL_S = 1800.0
# Blanks, and what uv draws its trees with.
_DRAWING = " \t\u00d7\u2570\u2500\u25b6\u2502\u251c\u00b7"
# Written by the installer about the machine that installed, not about the package.
_TRACES = ("INSTALLER", "REQUESTED", "direct_url.json")
_AWAY = re.compile(
    "error sending request|failed to (?:fetch|download)|connection|timed? ?out|dns", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Tools:
    """What is needed to install environments.

    Attributes:
        uv: The uv program.
        cache: Where uv keeps what it downloaded.
        folder: Where locks are kept, and where installing happens.
    """

    uv: Path
    cache: Path
    folder: Path


def find_uv() -> Path:
    """Return the uv that was installed with this server, else the one on the path.

    Raises:
        RuntimeFailedError: Calling what is returned will say so if there is none.
    """
    beside = Path(sys.executable).parent / "uv"
    return beside if beside.is_file() else Path(shutil.which("uv") or "uv")


def environment_layer(
    wanted: Requirements,
    platform: Platform,
    shelf: LayerShelf,
    tools: Tools,
    progress: Progress,
    provided: Mapping[str, str],
) -> Layer | None:
    """Return the layer with what ``wanted`` asks for, or None if that is nothing.

    Args:
        wanted: What the environment file says.
        platform: Platform to install for.
        shelf: Where layers are remembered.
        tools: What to install with.
        progress: Is told what takes time.
        provided: Packages with their versions that the base brings already.

    Raises:
        EnvironmentFileError: There is no set of wheels for the platform that satisfies it.
        NetworkError: The package index is out of reach.
        RuntimeFailedError: uv is missing, or took too long.
    """
    if not wanted.lines:
        return None
    lock = _lock(wanted, platform, tools, progress, provided)
    count = len(re.findall(r"^[A-Za-z0-9]", lock, re.MULTILINE))
    if not count:
        return None

    def fill(layer: LayerWriter) -> None:
        progress(f"installing {count} packages for {platform.name}")
        with tempfile.TemporaryDirectory(dir=tools.folder, prefix=SCRATCH) as scratch:
            target = Path(scratch, "env")
            _install(lock, wanted, platform, tools, target)
            _clean(target)
            compile_tree(target, ENVIRONMENT_FOLDER, progress)
            target.joinpath(LOCK_NAME).write_text(lock, encoding="utf-8")
            layer.tree(target, ENVIRONMENT_FOLDER)

    title = f"{count} packages for {platform.architecture}"
    return shelf.layer("environment", title, [platform.name, lock], fill)


def explain(output: str) -> str:
    """Return uv's reason for not finding a solution, as one line of plain words."""
    lines = [line.strip(_DRAWING) for line in output.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("Using", "warning:", "Resolv"))]
    text = " ".join(kept).removeprefix("error: ")
    text = re.sub(r"^.*?No solution found when resolving dependencies.*?(?=Because)", "", text)
    text = re.sub(r"\s*hint: .*", "", text)
    return text if len(text) <= 700 else f"{text[:700]}…"


def kept_records(record: str) -> str:
    """Return a package's ``RECORD`` without the files that are not kept.

    Programs in ``bin`` name this machine's Python, so even their hashes would tell builders apart.
    """
    lines = record.splitlines(keepends=True)
    paths = (PurePosixPath(line.split(",")[0]) for line in lines)
    return "".join(
        line
        for line, path in zip(lines, paths, strict=True)
        if path.name not in _TRACES
        and not {"..", "bin"}.issuperset(path.parts[:1])
        and "__pycache__" not in path.parts
    )


def _lock(
    wanted: Requirements,
    platform: Platform,
    tools: Tools,
    progress: Progress,
    provided: Mapping[str, str],
) -> str:
    """Return every package with version and hashes; asked for once per text and platform."""
    target = platform.uv or platform.name
    marks = [*sorted(provided.items()), *(["own hashes"] if gives_hashes(wanted.lines) else [])]
    facts = json.dumps([target, PYTHON, wanted.lines, wanted.indexes, *marks])
    record = tools.folder / f"{hashlib.sha256(facts.encode()).hexdigest()}.lock"
    if record.is_file():
        return record.read_text(encoding="utf-8")
    progress(f"resolving {len(wanted.lines)} requirements for {platform.name}")
    with tempfile.TemporaryDirectory(dir=tools.folder, prefix=SCRATCH) as scratch:
        source, lock = Path(scratch, "environment.txt"), Path(scratch, LOCK_NAME)
        source.write_text("\n".join(wanted.lines) + "\n", encoding="utf-8")
        options: list[str | Path] = [
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
            "-o",
            lock,
        ]
        options += provide(provided, platform, Path(scratch))
        done = _uv(tools, "compile", platform, [*wanted.indexes, *options, source], _RESOLVE_S)
        if done.code != 0:
            had = [_brought(name, provided) for name in blamed(done.output) if name in provided]
            raise _failure("resolved", platform, done, had or _had(wanted, platform, tools, done))
        text = _checked(lock.read_text(encoding="utf-8"), wanted, platform)
    replace_file(record, text.encode())
    return text


def _checked(lock: str, wanted: Requirements, platform: Platform) -> str:
    """Return a lock with the hashes that the file gives; refuse a file that locks only a part."""
    besides = not_locked(lock, wanted.lines)
    if besides:
        raise EnvironmentFileError(
            f"the environment locks each line with a hash and lacks, for {platform.name}: "
            f"{', '.join(besides):.300}",
            remedy="Add them with their hashes, or leave all hashes out.",
        )
    return with_given_hashes(lock, wanted.lines)


def _install(
    lock: str, wanted: Requirements, platform: Platform, tools: Tools, target: Path
) -> None:
    source = target.with_name(LOCK_NAME)
    source.write_text(lock, encoding="utf-8")
    options: list[str | Path] = ["--require-hashes", "--no-deps", "--target", target, "-r", source]
    done = _uv(tools, "install", platform, [*wanted.indexes, *options], _INSTALL_S)
    if done.code != 0:
        raise _failure("installed", platform, done)


def _uv(
    tools: Tools,
    verb: str,
    platform: Platform,
    arguments: Sequence[str | Path],
    timeout_s: float,
) -> Finished:
    # Building a source package would run its author's code on this machine.
    target: list[str | Path] = ["--only-binary", ":all:", "--python-version", PYTHON, "--python"]
    if platform.uv:
        target += [sys.executable, "--python-platform", platform.uv]
    else:
        target += [stand_in(tools.folder, platform.machines[0])]
    command: list[str | Path] = [tools.uv, "pip", verb, "--cache-dir", tools.cache]
    command += ["--no-progress", "--no-config", *target, *arguments]
    return run(command, timeout_s=timeout_s, cwd=tools.folder)


def _brought(name: str, provided: Mapping[str, str]) -> str:
    return f"the base brings {name} {provided[name]}, for there is no wheel of it"


def _had(wanted: Requirements, platform: Platform, tools: Tools, done: Finished) -> list[str]:
    """Return in sentences what the index has of the packages that could not be resolved."""
    told = []
    for name in blamed(done.output):
        found: list[Wheel] = []
        is_known = False
        try:
            for url in _indexes(wanted, tools):
                wheels = ask_index(url, name)
                is_known = is_known or wheels is not None
                found += wheels or []
        except OSError:
            continue  # What uv said is told in any case.
        told.append(
            describe(name, found, platform, PYTHON)
            if is_known
            else f"the package index has no package {name}{meant(name)}"
        )
    return told


def _indexes(wanted: Requirements, tools: Tools) -> list[str]:
    """Return the addresses that uv asks for packages; its defaults are known to itself only."""
    options = ["--offline", "--no-config", "--no-header", "--quiet", "--emit-index-url"]
    with tempfile.NamedTemporaryFile(dir=tools.folder, prefix=SCRATCH, suffix=".txt") as nothing:
        command: list[str | Path] = [tools.uv, "pip", "compile", *options, *wanted.indexes]
        command += ["--python", sys.executable, nothing.name]
        done = run(command, timeout_s=60.0, cwd=tools.folder)
    return re.findall(r"^--(?:extra-)?index-url (\S+)", done.output, re.MULTILINE)


def _failure(
    verb: str, platform: Platform, done: Finished, had: Sequence[str] = ()
) -> EnvironmentFileError | NetworkError:
    if "Hash mismatch" in done.output:
        return EnvironmentFileError(
            f"the environment cannot be {verb} for {platform.name}: {explain(done.output)}",
            remedy="The package index has another file than the one that was locked: do not take "
            "it before you know why.",
            detail=done.output[-4000:],
        )
    if "No solution found" not in done.output and _AWAY.search(done.output):
        return NetworkError(
            f"the environment for {platform.name} could not be {verb}: {explain(done.output)}",
            remedy="Check the way to the package index and build again.",
            detail=done.output[-4000:],
        )
    return EnvironmentFileError(
        f"the environment cannot be {verb} for {platform.name}: "
        + "; ".join([*had, explain(done.output)]),
        remedy=f"Ask for versions that have wheels for Python {PYTHON} on {platform.name}.",
        detail=done.output[-4000:],
    )


def _clean(target: Path) -> None:
    shutil.rmtree(target / "bin", ignore_errors=True)
    for name in (".lock", ".gitignore", "CACHEDIR.TAG"):
        (target / name).unlink(missing_ok=True)
    for trace in _TRACES:
        for path in target.glob(f"*.dist-info/{trace}"):
            path.unlink()
    for cache in list(target.rglob("__pycache__")):
        shutil.rmtree(cache)
    for record in target.glob("*.dist-info/RECORD"):
        record.write_text(kept_records(record.read_text("utf-8")), encoding="utf-8")
