"""``azureml.monitoring``: the first generation of data collection, with its paths and columns.

What it writes is CSV below ``modeldata/``, one file a day and designation.
"""

import csv
import io
import logging
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from skerry_scorer.collecting.collection import OFF, Collection, now, path_of, present
from skerry_scorer.collecting.spool import Record
from skerry_scorer.collecting.table import Table, table_of

__all__ = ["ModelDataCollector"]

log = logging.getLogger("skerry_scorer.data")

CORRELATIONS = (
    "$aml_dc_correlation_id",
    "$aml_dc_scoring_timestamp",
    "$aml_dc_boundary",
    "$aml_workspace",
    "$aml_service_name",
    "$aml_model_name",
    "$aml_model_version",
    "$aml_request_id",
)
"""Columns that stand before the data's own."""
BOUNDARY_MINUTES = 24 * 60
"""Minutes of one file."""
_OWN_NAMES = ("signals", "general")


class ModelDataCollector:
    """Collects rows of one model for one purpose; nothing here raises into ``run()``.

    Args:
        model_name: Name of the model.
        designation: ``inputs``, ``predictions``, ``labels``, ``signals`` or ``general``.
        feature_names: Names of the columns, for data without names.
        workspace: Three names with slashes between them, for the path.
        webservice_name: Name of the service, for the path.
        model_version: Version of the model.
        collection_name: Name of the file of ``signals`` and ``general``.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the original's
        self,
        model_name: str,
        designation: str = "default",
        feature_names: Sequence[str] | None = None,
        workspace: str = "default/default/default",
        webservice_name: str = "default",
        model_version: str = "default",
        collection_name: str = "default",
    ) -> None:
        self._model = str(model_name)
        self._designation = str(designation)
        self._names = [str(name) for name in (() if feature_names is None else feature_names)]
        self._workspace = str(workspace)
        self._service = str(webservice_name)
        self._version = str(model_version)
        own = self._designation in _OWN_NAMES and collection_name != "default"
        self._file = str(collection_name) if own else self._designation
        self._correlated = False

    def collect(self, input_data: Any, user_correlation_id: str = "") -> dict[str, str] | None:
        """Collect rows.

        Args:
            input_data: See ``table_of``. The columns that ``add_correlations`` adds say what the
                rows belong to, and are not taken for data.
            user_correlation_id: Id of what the rows belong to; one is made up without it.

        Returns:
            Values of the columns that tell what the rows belong to; None where collection is off.
        """
        collection = present()
        if collection is None:
            log.debug(OFF)
            return None
        correlations = self._correlations(str(user_correlation_id))
        try:
            table, correlations = self._split(table_of(input_data, self._names), correlations)
            if collection.wants(correlations[CORRELATIONS[0]]):
                trouble = collection.keep(self._record(collection, table, correlations))
            else:
                trouble = ""
        except Exception as error:  # noqa: BLE001 - whatever the data is, run() goes on
            trouble = collection.refuse(error)
        if trouble:
            log.warning("%s of %s: %s", self._designation, self._model, trouble)
        return correlations

    def add_correlations(self, input_data: Any, correlations: Mapping[str, str] | None) -> Any:
        """Return data with the columns that ``collect`` returned, for another collector.

        Args:
            input_data: A list, an array or a data frame; anything else is returned as it is.
            correlations: What ``collect`` returned; None adds nothing.
        """
        if correlations is None:
            return input_data
        self._correlated = True
        values = [correlations.get(name, "") for name in CORRELATIONS]
        try:
            return _with_columns(input_data, values)
        except Exception as error:  # noqa: BLE001 - whatever the data is, run() goes on
            log.warning("%s: no correlations added: %s", self._designation, error)
            return input_data

    def _correlations(self, user_id: str) -> dict[str, str]:
        own = str(uuid.uuid4())
        time = now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = (
            *(user_id or own, time, str(BOUNDARY_MINUTES), self._workspace, self._service),
            *(self._model, self._version, own),
        )
        return dict(zip(CORRELATIONS, values, strict=True))

    def _split(self, table: Table, fresh: dict[str, str]) -> tuple[Table, dict[str, str]]:
        """Take the columns of ``add_correlations`` out of a table."""
        width = len(table.columns) - len(CORRELATIONS)
        if not table.rows or width < 0:
            return table, fresh
        named = tuple(table.columns[width:]) == CORRELATIONS
        boundary = str(table.rows[0][width + 2])
        if not named and not (self._correlated and boundary == str(BOUNDARY_MINUTES)):
            return table, fresh
        told = dict(zip(CORRELATIONS, map(str, table.rows[0][width:]), strict=True))
        return Table(table.columns[:width], [row[:width] for row in table.rows]), {**fresh, **told}

    def _record(
        self, collection: Collection, table: Table, correlations: Mapping[str, str]
    ) -> Record:
        day = now().strftime("%Y/%m/%d").split("/")
        where = (*self._workspace.split("/"), self._service, self._model, self._version)
        path = path_of("modeldata", *where, self._designation, *day, f"{self._file}.csv")
        value = collection.redactor.value
        rows = [[*correlations.values(), *map(value, table.columns, row)] for row in table.rows]
        return Record(path, _csv([[*CORRELATIONS, *table.columns]]), _csv(rows))


def _with_columns(data: Any, values: list[str]) -> Any:
    if hasattr(data, "itertuples") and hasattr(data, "assign"):
        return data.assign(**dict(zip(CORRELATIONS, values, strict=True)))
    if isinstance(data, list):
        if data and all(isinstance(row, list) for row in data):
            return [[*row, *values] for row in data]
        return [*data, *values]
    numpy = sys.modules.get("numpy")  # whoever has an array has imported it
    if numpy is not None and isinstance(data, numpy.ndarray):
        return numpy.array(_with_columns(data.tolist(), values), dtype=object)
    return data


def _csv(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
