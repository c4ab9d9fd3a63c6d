"""Where local input comes from, as the feeder sees it: one small interface for every kind.

An input is taken, scored, and settled once its result is stored. What is taken and never settled
comes again after the next start, if its kind lets anything come again.
"""

from typing import Any, Protocol


class Taken(Protocol):
    """One input that was taken and not settled yet.

    Attributes:
        input: Name of the input, as the manifest gives it.
        kind: What results call the input's own name: ``file``, ``topic``, ``line``, ``stream`` or
            ``time``.
        name: Its own name.
    """

    @property
    def input(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


class Source(Protocol):
    """A source of inputs; its methods belong into the worker thread, ``rest`` excepted."""

    def take(self) -> Any:
        """Return the next input that can be scored now as ``Taken``, or None; never waits."""
        ...

    def begin(self, taken: Any) -> None:
        """Note for the next process that this input is being scored, until the next or ``rest``.

        Raises:
            UnusableInputError: It has ended the process too often.
        """
        ...

    def rest(self) -> None:
        """Note that no input is being scored, or none whose fault it is if the process ends now.

        From any thread.
        """
        ...

    def read(self, taken: Any) -> str | bytes | None:
        """Return the content as ``run()`` gets it, or None if it is gone: then it is settled.

        Raises:
            UnusableInputError: It is too large, cannot be read, or is text and not UTF-8.
        """
        ...

    def settle(self, taken: Any, failure: str) -> None:
        """Let go of an input whose result is stored; set one aside that has ``failure``."""
        ...

    def release(self) -> None:
        """Let others read; what was taken and not settled will come again."""
        ...
