"""Inputs that are no files: what a broker, a command or a clock brings.

Each has a folder of its own, for the lock, the note of what is under way, and what failed.
"""

import itertools
import logging
import re
import zlib
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from skerry_scorer.inputs.claim import ClaimedFolder, UnusableInputError
from skerry_scorer.inputs.failed import FailedFolder
from skerry_scorer.inputs.mailbox import Mailbox, Message
from skerry_scorer.inputs.under_way import Noted

log = logging.getLogger(__name__)


class Origin(Protocol):
    """Brings messages, in threads of its own."""

    brings_again: bool
    """Whether a message comes again that was not settled when the process ended."""

    def start(self, mailbox: Mailbox, folder: Path) -> None:
        """Begin to put messages into the mailbox.

        Args:
            mailbox: Where to put them; ``put`` returning False is the end.
            folder: The input's folder, for what has to outlive the process.
        """
        ...

    def stop(self) -> None:
        """End, within a few seconds; the mailbox is closed already."""
        ...


class StreamInput:
    """One such input; see ``Source`` for what each method promises.

    Args:
        name: Name of the input.
        folder: Its folder, which must be there.
        form: Whether ``run()`` gets text or bytes.
        origin: What brings the messages.
        wake: Called when there is a message after there was none; from any thread.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        form: Literal["text", "bytes"],
        origin: Origin,
        wake: Callable[[], None],
    ) -> None:
        self._name = name
        self._folder = folder
        self._form = form
        self._origin = origin
        self._wake = wake
        self._claimed = ClaimedFolder(name, folder)
        self._mailbox: Mailbox | None = None
        self._taken: deque[Message] = deque()
        self._numbers = itertools.count()

    def take(self) -> Message | None:
        """See ``Source.take``; the first call after ``release`` starts the origin."""
        if self._mailbox is None:
            if not self._claimed.claim():
                return None
            self._taken.extend(self._left_over())
            self._mailbox = Mailbox(self._wake)
            self._origin.start(self._mailbox, self._folder)
        if not self._taken:
            self._taken.extend(self._mailbox.take())
        return self._taken.popleft() if self._taken else None

    def begin(self, message: Message) -> None:
        """See ``Source.begin``."""
        self._claimed.begin(*self._noted(message), map(self._noted, self._taken))

    def read(self, message: Message) -> str | bytes | None:
        """See ``Source.read``."""
        if message.fault:
            raise UnusableInputError(message.fault)
        if self._form == "bytes":
            return message.content
        try:
            return message.content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnusableInputError(f"is not UTF-8: {error}") from error

    def settle(self, message: Message, failure: str) -> None:
        """See ``Source.settle``."""
        if failure:
            try:
                with FailedFolder(self._claimed.descriptor, self._name) as failed:
                    failed.write(self._file_name(message), message.content, failure)
                    failed.trim()
            except OSError as error:
                # It must not come again for ever: what it was is in the log and in the event.
                log.error("%s/%s is not kept: %s", self._name, message.name, error)  # noqa: TRY400 - a fact of the disk, not of the code
        message.settled()

    def release(self) -> None:
        """See ``Source.release``; ends the origin."""
        if self._mailbox is not None:
            self._mailbox.close()
            self._origin.stop()
            self._mailbox = None
        self._taken.clear()
        self._claimed.release()

    def rest(self) -> None:
        """See ``Source.rest``."""
        self._claimed.rest()

    def _noted(self, message: Message) -> Noted:
        content = message.content
        key = (message.kind, len(content), zlib.crc32(content), 0)
        return key, b"" if self._origin.brings_again else content

    def _left_over(self) -> list[Message]:
        """Return the messages that the last process may have died of, where nobody has them."""
        if self._origin.brings_again:
            return []
        return [Message(self._name, "line", "again", content) for content in self._claimed.left]

    def _file_name(self, message: Message) -> str:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        words = re.sub(r"[^A-Za-z0-9_.-]+", "-", message.name)[-100:]
        return f"{now}-{next(self._numbers)}-{words}"
