"""Read an environment file by its form: conda's YAML, a ``pyproject.toml``, or pip's lines."""

from pathlib import PurePosixPath

import yaml

from skerry_contract.environment import (
    PYTHON,
    Requirements,
    from_conda,
    from_pip,
    from_pyproject,
)
from skerry_contract.errors import EnvironmentFileError

__all__ = ["MAX_BYTES", "PYTHON", "Requirements", "read_environment"]

MAX_BYTES = 256 * 1024
"""Largest environment file that is read."""


def read_environment(path: str, data: bytes) -> Requirements:
    """Read an environment file; ``.yml`` and ``.yaml`` are conda's, all others but TOML are pip's.

    Args:
        path: Its path, for its form and for errors.
        data: Its bytes.

    Raises:
        EnvironmentFileError: It has a line that cannot be used, which is named.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EnvironmentFileError(f"{path} is not UTF-8 text: {error}") from error
    match PurePosixPath(path).suffix.lower():
        case ".yml" | ".yaml":
            return from_conda(path, _parsed(path, text))
        case ".toml":
            return from_pyproject(path, text)
        case _:
            return from_pip(path, text)


def _parsed(path: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise EnvironmentFileError(f"{path} is not YAML: {error}") from error
