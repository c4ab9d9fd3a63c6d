"""``azureml.ai.monitoring.context``: what collected records belong to."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

__all__ = ["BasicCorrelationContext", "CorrelationContext", "WrapperContext", "get_context"]


class CorrelationContext:
    """Says what records belong together by having the same id."""

    def get_id(self) -> str:
        """Return the id."""
        return ""

    def __str__(self) -> str:
        return self.get_id()


class BasicCorrelationContext(CorrelationContext):
    """An id, a time and headers.

    Args:
        id: The id; made up without one.
        timestamp: Seconds since the epoch; now without them.
        headers: Headers of the request; ``x-request-id`` is kept with each record.
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - the original's
        timestamp: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.id = id or str(uuid.uuid4())
        self.timestamp = timestamp or int(time.time())
        self.headers = dict(headers or {})

    def get_id(self) -> str:
        """Return the id."""
        return self.id

    def get_timestamp(self) -> int:
        """Return the time, in seconds since the epoch."""
        return self.timestamp

    def get_headers(self) -> dict[str, str]:
        """Return the headers."""
        return self.headers


class WrapperContext(CorrelationContext):
    """A context together with what came of collecting."""

    def __init__(self, context: Any, message: str) -> None:
        self._context = context
        self._message = message

    def get_id(self) -> str:
        """Return the id."""
        return str(self._context.get_id())

    def get_timestamp(self) -> int:
        """Return the time, in seconds since the epoch."""
        found = getattr(self._context, "get_timestamp", time.time)()
        return int(found)

    def get_headers(self) -> dict[str, str]:
        """Return the headers."""
        return dict(getattr(self._context, "get_headers", dict)())

    def is_success(self) -> bool:
        """Return whether it will be written."""
        return not self._message

    def get_message(self) -> str:
        """Return why it will not be written, or ""."""
        return self._message


def get_context() -> CorrelationContext:
    """Return a context with a new id."""
    return BasicCorrelationContext()
