"""The entry script: find it, call its ``init()`` and ``run()``, tell its faults from ours.

What a person sees of a fault is their own code: frames of the host and of the import system are
left out of tracebacks, in chained exceptions too.
"""

import importlib.util
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from skerry_scorer.azure import finder
from skerry_scorer.forks import end_if_forked
from skerry_scorer.http.answers import FAILED_HEADER
from skerry_scorer.http.wire import Answer
from skerry_scorer.script.arguments import (
    Arguments,
    Bound,
    InputError,
    RawArgument,
    SignatureError,
    arguments_of,
)

MAX_DETAIL_CHARS = 8_000
"""Longest traceback that is passed on; the end is kept."""
MAX_TEXT_CHARS = 1_000
"""Longest one-line description of an exception."""

_PLAIN_TYPES = frozenset({dict, list, str, int, float, bool, tuple, type(None)})
"""What most scripts return; none of them is a response."""
_HOST_FOLDER = Path(__file__).parents[1]


class ScriptError(Exception):
    """The entry script cannot do what was asked of it.

    Attributes:
        text: One line that names the script and the fault.
        detail: The script's own traceback, or "".
    """

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.detail = detail


class InitFailedError(ScriptError):
    """It could not be loaded, or its ``init()`` raised."""


class RunFailedError(ScriptError):
    """Its ``run()`` raised, or returned what JSON cannot say."""


class Scorer:
    """An entry script that is ready to score.

    All calls come from the worker's threads: from a single one unless it was told otherwise, for
    models and streaming state need not be safe for more.
    """

    def __init__(
        self,
        script: Path,
        run: Callable[..., Any],
        run_batch: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self._script = script
        self._run_batch = run_batch
        self._begun: dict[int, float] = {}
        self.run_function = run
        self.arguments: Arguments = arguments_of(run)

    @property
    def busy_s(self) -> float:
        """Seconds that the longest present ``run()`` has taken so far; 0 if none is under way.

        May be asked from any thread. Writing the result as JSON counts too: that may run code of
        the script as well.
        """
        begun = min(list(self._begun.values()), default=None)
        return time.monotonic() - begun if begun is not None else 0.0

    @property
    def wants_raw_http(self) -> bool:
        """Whether ``run()`` is to be called with requests as they came."""
        return isinstance(self.arguments, RawArgument)

    @property
    def takes_batches(self) -> bool:
        """Whether the script has a ``run_batch()``."""
        return self._run_batch is not None

    @classmethod
    def load(cls, app_root: Path, entry_script: str) -> "Scorer":
        """Import the entry script and call its ``init()``.

        Raises:
            InitFailedError: It is not there, does not import, lacks ``init`` or ``run``, or raised.
        """
        path = app_root / entry_script
        finder.install()
        module = _import(app_root, entry_script)
        init, run = (_function(module, name, entry_script) for name in ("init", "run"))
        # What some of Azure's tools put around a script; they call run() with wrong arguments.
        driven = getattr(module, "driver_module", None)
        if isinstance(driven, ModuleType) and hasattr(driven, "run"):
            run = driven.run
        try:
            scorer = cls(path, run, getattr(module, "run_batch", None))
        except SignatureError as error:
            raise InitFailedError(f"{entry_script}: {error}") from error
        try:
            init()
        # An init() that calls sys.exit() has failed like any other.
        except BaseException as error:
            text = f"{entry_script}: init() raised {describe(error, path)}"
            raise InitFailedError(text, script_traceback(error)) from error
        return scorer

    def run(self, data: str | bytes) -> bytes:
        """Return what ``run()`` returned for an input that did not come over HTTP, as JSON.

        Raises:
            RunFailedError: It raised, or what it returned cannot be written as JSON.
        """
        try:
            call = self.arguments.of_input(data)
        except InputError as error:
            raise RunFailedError(f"{self._script.name}: {error}") from error
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            result = self._called("run", call)
            if type(result) in _PLAIN_TYPES:
                return self._json(result)
            answer = self._answer_of(result)
            return answer.body if answer.content_type else self._json_of(answer)
        finally:
            del self._begun[thread]

    def answer(self, call: Bound) -> Answer:
        """Return what a call of ``run()`` returned, as an answer over HTTP.

        Raises:
            RunFailedError: It raised, or what it returned cannot be written as JSON.
        """
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            return self._answer_of(self._called("run", call))
        finally:
            del self._begun[thread]

    def values(self, call: Bound) -> Any:
        """Return what a call of ``run()`` returned, as it is.

        Raises:
            RunFailedError: It raised.
        """
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            return self._called("run", call)
        finally:
            del self._begun[thread]

    def answer_batch(self, items: list[Any]) -> list[Answer | RunFailedError]:
        """Return what ``run_batch()`` made of each item; one that it fails on fails alone.

        Args:
            items: What ``run(data)`` would get of each.
        """
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            return self._batch(items)
        finally:
            del self._begun[thread]

    def _batch(self, items: list[Any]) -> list[Answer | RunFailedError]:
        try:
            results = list(self._called("run_batch", lambda: self._batch_results(items)))
            return [self._answer_of(result) for result in results]
        except RunFailedError as error:
            if len(items) == 1:
                return [error]
            # Whose fault it was shows one by one; nobody suffers for a neighbour.
            return [self._batch([item])[0] for item in items]

    def _batch_results(self, items: list[Any]) -> list[Any]:
        assert self._run_batch is not None  # noqa: S101 - asked for before
        results = list(self._run_batch(list(items)))
        if len(results) != len(items):
            raise ValueError(f"run_batch() got {len(items)} items and returned {len(results)}")
        return results

    def _called(self, name: str, call: Bound) -> Any:
        try:
            return call()
        # Signals come to the main thread, so whatever is raised here is the script's own doing.
        except BaseException as error:
            text = f"{self._script.name}: {name}() raised {describe(error, self._script)}"
            raise RunFailedError(text, script_traceback(error)) from error
        finally:
            end_if_forked()

    def _answer_of(self, result: Any) -> Answer:
        try:
            if _is_response(result):
                return _own_answer(result)
        except Exception as error:
            raise self._unwritable(error) from error
        return Answer(200, self._json(result))

    def _json(self, result: Any) -> bytes:
        try:
            return to_json(result)
        # Objects of the script's may turn themselves into values here, and fail in any way.
        except Exception as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> RunFailedError:
        why = text_of(error) or type(error).__name__
        name = self._script.name
        return RunFailedError(f"{name}: what run() returned cannot be written as JSON: {why}")

    def _json_of(self, answer: Answer) -> bytes:
        try:
            value = json.loads(answer.body)
            if answer.status < 400:
                return to_json(value)
        except (ValueError, RecursionError):
            value = f"{len(answer.body)} bytes that are no JSON"
        text = f"{self._script.name}: run() answered with status {answer.status}"
        raise RunFailedError(f"{text}: {str(value)[:MAX_TEXT_CHARS]}")


def to_json(value: Any) -> bytes:
    """Return ``value`` as compact JSON; NumPy arrays and scalars become lists and numbers.

    Raises:
        TypeError: It holds something that JSON has no form for.
        ValueError: It holds NaN, an infinity or half a surrogate pair.
        RecursionError: It is nested too deeply, or holds itself.
    """
    return _JSON.encode(value).encode()


def describe(error: BaseException, script: Path) -> str:
    """Return an exception in one line: type, text, and the line of ``script`` that it came by."""
    said = " ".join(text_of(error)[: 4 * MAX_TEXT_CHARS].split())
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(script)]
    where = f" ({script.name}:{lines[-1]})" if lines else ""
    return text[: MAX_TEXT_CHARS - len(where)] + where


def text_of(error: BaseException) -> str:
    """Return what an exception says; one may fail even in that."""
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001 - the script's own class may do anything
        return f"(its text cannot be had: {type(failed).__name__})"


def script_traceback(error: BaseException) -> str:
    """Return the traceback of an exception without frames of the host; of a long one the end."""
    tree = traceback.TracebackException.from_exception(error, limit=-100)
    _cut_host_frames(tree)
    return "".join(tree.format())[-MAX_DETAIL_CHARS:]


def _import(app_root: Path, entry_script: str) -> ModuleType:
    path = app_root / entry_script
    if not path.is_file():
        raise InitFailedError(
            f"{entry_script} is not in {app_root}, which holds {_listed(app_root)}"
        )
    # Azure's own name for it; a script called json.py must not become everybody's json.
    spec = importlib.util.spec_from_file_location("entry_module", path)
    if spec is None or spec.loader is None:
        raise InitFailedError(f"{entry_script} is no Python file: its name must end in .py")
    for folder in {str(app_root), str(path.parent)} - set(sys.path):
        sys.path.append(folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules["entry_module"] = module  # dataclasses and pickles look it up there
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        text = f"{entry_script} cannot be imported: {describe(error, path)}"
        raise InitFailedError(text, script_traceback(error)) from error
    return module


def _function(module: ModuleType, name: str, entry_script: str) -> Callable[..., Any]:
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None or not callable(function):
        raise InitFailedError(f"{entry_script} defines no function {name}()")
    return function


def _is_response(result: Any) -> bool:
    # AMLResponse, ours or the real one, or any other response of Flask's.
    if type(result) in _PLAIN_TYPES:
        return False
    return hasattr(result, "get_data") and hasattr(result, "status_code")


def _own_answer(response: Any) -> Answer:
    status, body = int(response.status_code), response.get_data()
    if not 200 <= status <= 599:
        raise ValueError(f"status {status}: expected one from 200 to 599")
    own = ("content-length", "connection", "transfer-encoding")
    headers = [(n, str(v)) for n, v in response.headers.items() if n.lower() not in own]
    if status >= 500:
        headers = [(n, v) for n, v in headers if n.lower() != FAILED_HEADER]
        headers.append((FAILED_HEADER, "True"))
    return Answer(status, bytes(body), "", tuple(headers))


def _plain(value: Any) -> Any:
    # NumPy is not imported for this: whatever can turn itself into plain values may do so.
    for name in ("tolist", "item"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"{type(value).__name__} is not a value of JSON")


# Made once: "json.dumps" with options of its own makes an encoder at each call. What holds itself
# is found by its depth, so no notes are kept of what it is in.
_JSON = json.JSONEncoder(
    default=_plain,
    allow_nan=False,
    check_circular=False,
    separators=(",", ":"),
    ensure_ascii=False,
)


def _is_own(frame: traceback.FrameSummary) -> bool:
    inside_host = Path(frame.filename).is_relative_to(_HOST_FOLDER)
    return not inside_host and not frame.filename.startswith("<frozen importlib")


def _cut_host_frames(tree: traceback.TracebackException) -> None:
    todo: list[traceback.TracebackException | None] = [tree]
    while todo:
        part = todo.pop()
        if part is not None:
            part.stack = traceback.StackSummary.from_list([f for f in part.stack if _is_own(f)])
            todo += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]


def _listed(folder: Path) -> str:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        return f"nothing that can be read ({error.strerror})"
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(names[:20]) or "nothing") + more
