"""Scores inputs in batches: as many as are there, within bounds of bytes, number and time.

A batch costs one hand-over between threads and one answer of the agent, however many inputs it
has; and a lone input is a batch of its own at once, for nothing here waits for more.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NamedTuple

from skerry_scorer.feeding.results import MAX_ITEM_BYTES, MAX_ITEMS, MAX_LINE_BYTES
from skerry_scorer.inputs.claim import UnusableInputError
from skerry_scorer.inputs.folder import spelled
from skerry_scorer.inputs.source import Source, Taken
from skerry_scorer.script.entry import MAX_TEXT_CHARS, RunFailedError, Scorer

BATCH_S = 0.02
"""Seconds after which a batch takes no further input: what else needs the thread waits so long."""


class Outcome(NamedTuple):
    """What came of one input: an item to store, and why it failed, or "" if it did not."""

    source: Source
    taken: Taken
    item: bytes
    failure: str = ""


@dataclass(frozen=True)
class Pace:
    """What a batch asks while it goes on.

    Attributes:
        go_on: Whether another input may be taken; false ends the batch.
        stopping: Whether the host was told to end: then no input is blamed for its end.
        offer: Told of each input that was scored: what it was, its result and the milliseconds.
        batch_s: Seconds after which a batch takes no further input.
    """

    go_on: Callable[[], bool]
    stopping: Callable[[], bool]
    offer: Callable[[str | bytes, bytes, float], None] = lambda _data, _result, _ms: None
    batch_s: float = BATCH_S


@dataclass(frozen=True)
class _Scoring:
    scorer: Scorer
    stream: str
    pace: Pace


def score_batch(
    scorer: Scorer, sources: Sequence[Source], stream: str, pace: Pace
) -> list[Outcome]:
    """Score what is ready, one input of each source in turn; none if nothing is.

    Args:
        scorer: Scores.
        sources: Where to take from.
        stream: Stream that results go to.
        pace: What is asked before each input.
    """
    scoring = _Scoring(scorer, stream, pace)
    found: list[Outcome] = []
    live, size, ends = deque(sources), 0, time.monotonic() + pace.batch_s
    last: Source | None = None
    while live and pace.go_on():
        source = live[0]
        taken = source.take()
        if taken is None:
            live.popleft()
            continue
        live.rotate(-1)
        if last is not None and last is not source:
            last.rest()  # or the next one's end would be blamed on this one's input too
        last = source
        outcome = _score(scoring, source, taken)
        if outcome is not None:
            found.append(outcome)
            size += len(outcome.item) + 1
        full = size > MAX_LINE_BYTES // 2 or len(found) >= MAX_ITEMS
        if full or time.monotonic() >= ends:
            break
    if last is not None:
        last.rest()
    return found


def _score(scoring: _Scoring, source: Source, taken: Taken) -> Outcome | None:
    try:
        source.begin(taken)
        if scoring.pace.stopping():  # since it was taken; nobody else wipes the note now
            source.rest()
        data = source.read(taken)
        if data is None:
            return None
        begun = time.perf_counter()
        result = scoring.scorer.run(data)
        ms = (time.perf_counter() - begun) * 1000
    except UnusableInputError as error:
        return _failed(source, taken, str(error))
    except RunFailedError as error:
        return _failed(source, taken, error.text, error.detail)
    item = result_item(scoring.stream, taken, result, ms)
    if len(item) > MAX_ITEM_BYTES:
        text = f"the result has {len(item)} bytes, at most {MAX_ITEM_BYTES} fit"
        return _failed(source, taken, text)
    scoring.pace.offer(data, result, ms)
    return Outcome(source, taken, item)


def result_item(stream: str, taken: Taken, result: bytes, ms: float) -> bytes:
    """Return the item that carries a result, which is JSON already."""
    return b'{"stream":%b,"data":{"input":%b,%b:%b,"result":%b,"ms":%.1f}}' % (
        _quoted(stream),
        _quoted(taken.input),
        _quoted(taken.kind),
        encode_basestring(taken.name).encode("utf-8", "replace"),
        result,
        ms,
    )


def _failed(source: Source, taken: Taken, text: str, detail: str = "") -> Outcome:
    return Outcome(source, taken, failed_item(taken, text, detail), f"{text}\n{detail}".strip())


def failed_item(taken: Taken, text: str, detail: str = "") -> bytes:
    """Return the item that tells that an input has failed, and why."""
    name = spelled(taken.name)
    data = {
        "severity": "error",
        "code": "SCORING_FAILED",
        "text": f"{taken.input}/{name}: {text}"[:MAX_TEXT_CHARS],
        "detail": detail,
        "input": taken.input,
        taken.kind: name,
    }
    return _json({"event": "scoring-failed", "data": data})


@lru_cache(maxsize=64)
def _quoted(text: str) -> bytes:
    """Return text as JSON; what is no UTF-8 in the name of an odd file becomes a question mark."""
    return encode_basestring(text).encode("utf-8", "replace")


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
