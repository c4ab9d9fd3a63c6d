"""Answers of the host's own: what is wrong, in the form that Azure's server has."""

import json
from typing import Any

from skerry_scorer.http.wire import Answer

FAILED_HEADER = "x-ms-run-function-failed"
"""Header field that says whether an answer counts as a failure of ``run()``."""


def error_answer(status: int, text: str, *, run_failed: bool = False) -> Answer:
    """Return an answer that says what is wrong, and whether it is the fault of ``run()``."""
    body = json.dumps({"message": text}, ensure_ascii=False).encode("utf-8", "replace")
    return Answer(status, body, headers=((FAILED_HEADER, str(run_failed)),))


def later(text: str) -> Answer:
    """Return an answer that asks the client to come again."""
    return error_answer(503, text).with_headers(("Retry-After", "1"))


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
