"""Read an environment file by its form: conda's YAML, a ``pyproject.toml``, or pip's lines."""

from pathlib import PurePosixPath

import yaml

from skerry_contract.environment import PYTHON, Requirements, from_conda, from_pip
from skerry_contract.errors import EnvironmentFileError
from skerry_contract.pyproject import from_pyproject, split_choice
from skerry_contract.requirement_lines import Beside

__all__ = ["MAX_BYTES", "PYTHON", "Requirements", "as_text", "read_environment"]

MAX_BYTES = 256 * 1024
"""Largest environment file that is read."""


def read_environment(path: str, data: bytes, beside: Beside | None = None) -> Requirements:
    """Read an environment file; ``.yml`` and ``.yaml`` are conda's, all others but TOML are pip's.

    Args:
        path: Its path, for its form and for errors; extras and groups of a project may follow in
            brackets: ``pyproject.toml[serve]``.
        data: Its bytes.
        beside: Gives the files that it names by ``-r``.

    Raises:
        EnvironmentFileError: It has a line that cannot be used, which is named.
    """
    path, chosen = split_choice(path)
    text = as_text(path, data)
    match PurePosixPath(path).suffix.lower():
        case ".yml" | ".yaml":
            return from_conda(path, _parsed(path, text), beside)
        case ".toml":
            return from_pyproject(path, text, chosen)
        case _:
            return from_pip(path, text, beside)


def as_text(path: str, data: bytes) -> str:
    """Return the text of an environment file.

    Raises:
        EnvironmentFileError: It is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EnvironmentFileError(
            f"{path} is not UTF-8 text: {error}",
            remedy="PowerShell's '>' writes UTF-16: save it as UTF-8.",
        ) from error


def _parsed(path: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise EnvironmentFileError(
            f"{path} is not YAML: {told:.300}", remedy="YAML indents with blanks, never with tabs."
        ) from error
