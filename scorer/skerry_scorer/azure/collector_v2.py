"""``azureml.ai.monitoring``: the second generation of data collection, with its paths and records.

What it writes are CloudEvents 1.0, one JSON object a line, below ``modelDataCollector/``, one file
an hour, collection and process.
"""

import json
import logging
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from skerry_scorer.azure.collector_context import BasicCorrelationContext, WrapperContext
from skerry_scorer.collecting.collection import OFF, Collection, now, path_of, present, redacted
from skerry_scorer.collecting.spool import Record
from skerry_scorer.collecting.table import table_of

__all__ = ["Collector"]

log = logging.getLogger("skerry_scorer.data")

INSTANCE = uuid.uuid4().hex[:12]
"""Id of this process among those that write to one folder."""
SAMPLED_OUT = "dropped_sampling"
"""What a context says of a record that the rate leaves out, as the original does."""


class Collector:
    """Collects records under a name; nothing here raises into ``run()``, unlike the original.

    Args:
        name: Name of the collection.
        on_error: Is told of data that cannot be collected; what it raises is logged.
    """

    def __init__(self, *, name: str, on_error: Callable[[Exception], Any] | None = None) -> None:
        self._name = str(name)
        self._on_error = on_error

    def collect(self, data: Any, correlation_context: Any = None) -> WrapperContext:
        """Collect one record.

        Args:
            data: See ``table_of``; usually a pandas data frame.
            correlation_context: What it belongs to; made up without one.

        Returns:
            The context, for the next collector; it also says whether the record will be written.
        """
        given = BasicCorrelationContext() if correlation_context is None else correlation_context
        context = WrapperContext(given, "")
        collection = present()
        if collection is None:
            log.debug(OFF)
            return WrapperContext(given, OFF)
        try:
            if not collection.wants(context.get_id()):
                return WrapperContext(given, SAMPLED_OUT)
            trouble = collection.keep(self._record(collection, data, context))
        except Exception as error:  # noqa: BLE001 - whatever the data is, run() goes on
            trouble = collection.refuse(error)
        if trouble:
            self._tell(trouble)
        return WrapperContext(given, trouble)

    def _tell(self, trouble: str) -> None:
        log.warning("collection %s: %s", self._name, trouble)
        if self._on_error is not None:
            with suppress(Exception):
                self._on_error(RuntimeError(trouble))

    def _record(self, collection: Collection, data: Any, context: WrapperContext) -> Record:
        policy = collection.policy
        records = [redacted(collection, record) for record in table_of(data).records()]
        size = len(json.dumps(records, ensure_ascii=False).encode("utf-8", "replace"))
        time = datetime.fromtimestamp(context.get_timestamp(), UTC)
        kind = type(data)
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": f"/{policy.endpoint}/{policy.deployment}",
            "type": f"azureml.inference.{self._name}",
            "datacontenttype": "application/json",
            "time": time.isoformat().replace("+00:00", "Z"),
            "data": records,
            "correlationid": context.get_id(),
            "xrequestid": _header(context, "x-request-id"),
            "modelversion": os.environ.get("AZUREML_MODEL_VERSION", "default"),
            "collectdatatype": f"{kind.__module__}.{kind.__qualname__}",
            "agent": "skerry-scorer/1",
            "contentrange": f"bytes 0-{max(0, size - 1)}/{size}",
        }
        hour = now().strftime("%Y/%m/%d/%H").split("/")
        where = ("modelDataCollector", policy.endpoint, policy.deployment, self._name)
        line = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        return Record(path_of(*where, *hour, f"{INSTANCE}.jsonl"), b"", line)


def _header(context: WrapperContext, name: str) -> str:
    found = {str(key).lower(): str(value) for key, value in context.get_headers().items()}
    return found.get(name, "")
