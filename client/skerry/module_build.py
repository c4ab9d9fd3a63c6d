"""Modules built from an inference configuration."""

import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from skerry.answers import Build
from skerry.api import Api, NewModule
from skerry.files import LocalFile, Reader
from skerry.inference import Source
from skerry.recipe import this_platform
from skerry.upload import upload
from skerry_contract.errors import EnvironmentFileError, ScorerError

_ENVIRONMENTS = ("environment.txt", "skerry-environment.txt")
"""How the environment may be called among the scorer's files; the first that is free counts."""


def start_build(
    api: Api, name: str, models: Sequence[str], source: Source, platforms: Sequence[str] = ()
) -> Build:
    """Upload a scorer and start to build the next version of a module.

    Args:
        api: The server.
        name: What the module is called.
        models: Models as ``name:version``.
        source: The scorer and its environment.
        platforms: What to build for; this machine's platform unless given.

    Raises:
        EnvironmentFileError: The user looks after the Python, which a module cannot take along.
        ScorerError: A file cannot be shipped.
        NetworkError: The server cannot be reached.
    """
    if source.python is not None:
        raise EnvironmentFileError(
            "user_managed_dependencies name a Python of this machine, which a module cannot hold",
            remedy="List the packages in conda_dependencies.",
        )
    files = _files(source)
    wanted = [*_pairs(source.requirements.indexes), *source.requirements.lines]
    environment = ""
    with tempfile.TemporaryDirectory(prefix="skerry-") as scratch:
        if wanted:
            environment = _free_name(files)
            written = Path(scratch, environment)
            written.write_text("\n".join(wanted) + "\n", encoding="utf-8")
            files += [f for f in Reader(ScorerError).folder(Path(scratch)) if f.path == environment]
        upload(api, files)
    return api.build_module(
        NewModule(
            name=name,
            models=models,
            files=files,
            entry_script=source.entry_script,
            environment=environment,
            platforms=list(platforms) or [this_platform(platform.machine())],
        )
    )


def _files(source: Source) -> list[LocalFile]:
    if not source.files:
        return Reader(ScorerError).folder(source.folder)
    return [f for name in source.files for f in Reader(ScorerError).model(source.folder / name)]


def _free_name(files: Sequence[LocalFile]) -> str:
    taken = {file.path for file in files}
    return next((name for name in _ENVIRONMENTS if name not in taken), _ENVIRONMENTS[-1])


def _pairs(options: Sequence[str]) -> list[str]:
    return [" ".join(pair) for pair in zip(options[::2], options[1::2], strict=True)]
