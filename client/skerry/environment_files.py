"""The files that an environment is read from, on a laptop's disk."""

from collections.abc import Iterator
from pathlib import Path

from skerry_contract.errors import EnvironmentFileError
from skerry_contract.requirement_lines import Beside

MAX_FILE_BYTES = 1024 * 1024
"""Largest environment file, and largest script that is looked at."""


def text_beside(folder: Path) -> Beside:
    """Return what gives the text of a file below ``folder``."""

    def text(path: str) -> str:
        file = folder / path
        try:
            with file.open("rb") as opened:
                data = opened.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise EnvironmentFileError(f"{file} has more than {MAX_FILE_BYTES} bytes")
            return data.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            raise EnvironmentFileError(f"{file} cannot be read: {error}") from error

    return text


def sources_in(folder: Path) -> Iterator[str]:
    """Yield the Python files of a folder, and those one folder below."""
    for pattern in ("*.py", "*/*.py"):
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
                yield path.read_text("utf-8", "replace")
