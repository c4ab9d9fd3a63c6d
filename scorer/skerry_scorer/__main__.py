"""``python -m skerry_scorer``: serve the entry script that the environment names.

Exit status: 0 stopped, 1 a fault of the host, 2 wrong settings, 3 ``init()`` failed, 4 stopped
while ``run()`` was under way and did not return in time, 5 a ``run()`` took longer than it may.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from skerry_scorer.host import CRASHED, CUT_SHORT, Host
from skerry_scorer.observing.logs import PrintedLines, use_json
from skerry_scorer.observing.traces import Tracing, tracing_of
from skerry_scorer.settings.host import Settings, read_settings
from skerry_scorer.settings.inputs import SettingsError

log = logging.getLogger("skerry_scorer")

EXIT_S = 2.0
"""Seconds that threads and exit handlers of the entry script have in the end."""


def main() -> NoReturn:
    """Run the host, and end the process with its status."""
    faulthandler.enable()
    # The root logger, so that what a script logs is seen without its own setting-up.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"skerry_scorer: {error}", file=sys.stderr)  # noqa: T201 - it is a command
        sys.exit(2)
    printed = use_json() if settings.json_logs else None
    tracing = tracing_of(os.environ, settings.service.model_name)
    _prepare(settings)
    try:
        status = asyncio.run(_serve(settings, printed, tracing))
    except Exception:
        log.exception("the host has failed")
        status = CRASHED
    _end(status)


async def _serve(settings: Settings, printed: PrintedLines | None, tracing: Tracing | None) -> int:
    return await Host(settings, printed, tracing).run()


def _prepare(settings: Settings) -> None:
    with suppress(OSError):
        os.chdir(settings.app_root)  # scripts open files beside themselves by bare names
    if settings.run_dir is not None:
        # Left by an earlier run; it would be taken for this one's.
        (settings.run_dir / "failure.json").unlink(missing_ok=True)
    if settings.data is not None:
        from skerry_scorer.collecting.collection import begin  # noqa: PLC0415 - only who collects pays for it

        begin(settings.data)


def _end(status: int) -> NoReturn:
    collection = sys.modules.get("skerry_scorer.collecting.collection")
    if collection is not None:
        collection.end(EXIT_S)
    if status != CUT_SHORT:
        # Threads that the script started and never ends must not keep the process.
        watchdog = threading.Timer(EXIT_S, os._exit, [status])
        watchdog.daemon = True
        watchdog.start()
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
