"""Errors of the SDK as Python shows them: with what to do, and with the evidence."""

from collections.abc import Iterator
from contextlib import contextmanager

from skerry_contract.errors import SkerryError


@contextmanager
def explained() -> Iterator[None]:
    """Add an error's remedy and detail to its notes, which a traceback and a notebook show.

    It serves as a decorator as well.
    """
    try:
        yield
    except SkerryError as error:
        shown = getattr(error, "__notes__", [])
        for note in (error.remedy, error.detail):
            if note and note not in shown:
                error.add_note(note)
        raise
