"""Choose which code of the agent runs, and return to what ran before if new code cannot.

Run as a file, ``python launcher.py run --home FOLDER``, and always the one that was flashed: an
update of the agent never replaces it. So it stands alone (standard library, no package of ours)
and does little; what it decides, it decides in ``begin``. ``docs/agent-update.md`` has the table.

A release on trial runs in a child of this process. What has proved itself runs in this process,
where the launcher costs next to nothing.
"""

import faulthandler
import json
import os
import random
import runpy
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import NoReturn

SLOTS = "agent"
"""Folder, in the state folder, with a folder for each release and the record."""
RECORD = "slots.json"
MAX_TRIES = 3
"""Starts of a release on trial that did not prove itself; a power cut counts as one."""
MAX_STARTS = 10
"""Starts in a row of a release that was good and does not get so far as to say that it is up."""
HANG_S = 180.0
"""An agent that did not say for so long that it is alive is ended, its stacks in the log."""
AGAIN = 75
"""Exit status of an agent that asks for the next choice (``EX_TEMPFAIL`` of ``sysexits.h``)."""
RELEASE = "SKERRY_RELEASE"
"""Variable that says which release runs: the name of its slot, or "" for what was flashed."""
_PARENT = "SKERRY_LAUNCHER"
_PAUSES_S = (0.25, 60.0)
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """Which releases are here and how they did; "" is the code that was flashed.

    Attributes:
        good: Release that proved itself last.
        trial: Release that is being tried.
        tries: How often ``trial``, or else ``good``, was started and did not say that it is up.
        fallen: Release that was given up, until the agent has taken note of it.
        served: Modules that served when the trial began.
    """

    good: str = ""
    trial: str = ""
    tries: int = 0
    fallen: str = ""
    served: tuple[str, ...] = ()


def begin(record: Record) -> tuple[str, Record]:
    """Return the release to start, and the record that must be on the disk before it starts."""
    if record.trial:
        if record.tries < MAX_TRIES:
            return record.trial, replace(record, tries=record.tries + 1)
        return record.good, replace(record, trial="", tries=0, fallen=record.trial)
    if not record.good:
        return "", record
    if record.tries < MAX_STARTS:
        return record.good, replace(record, tries=record.tries + 1)
    return "", replace(record, good="", tries=0, fallen=record.good)


def read(state: Path) -> Record:
    """Return the record in a state folder; one that cannot be read counts as empty."""
    try:
        with (state / SLOTS / RECORD).open("rb") as file:
            found = json.loads(file.read(_MAX_BYTES))
        known = {field.name: found[field.name] for field in fields(Record)}
        record = Record(**{**known, "served": tuple(known["served"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Record()
    names = (record.good, record.trial, record.fallen, *record.served)
    right = all(isinstance(name, str) and "/" not in name for name in names)
    return record if right and type(record.tries) is int else Record()


def write(state: Path, record: Record) -> None:
    """Put a record on the disk: it is there as a whole, or the one before it stands.

    Raises:
        OSError: The disk refused.
    """
    path = state / SLOTS / RECORD
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(json.dumps(asdict(record)).encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def alive() -> None:
    """Say that this process is alive; without another word it is ended after ``HANG_S``."""
    parent = os.environ.get(_PARENT)
    if parent is not None and parent != str(os.getppid()):
        os._exit(1)  # nobody would bring back what ran before
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    notify = os.environ.get("NOTIFY_SOCKET", "")
    if notify:
        # systemd's sd_notify(3); a name that begins with @ is an abstract one.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(b"WATCHDOG=1", "\0" + notify[1:] if notify[0] == "@" else notify)


def done() -> None:
    """Say that this process ends by itself, and needs no watching any more."""
    faulthandler.cancel_dump_traceback_later()


def main(argv: list[str]) -> NoReturn:
    """Do a command of the agent with its good code; ``run`` as is said above."""
    state = _home(argv) / "state"
    if argv[:1] != ["run"]:
        _become(state, read(state).good)
    pause_s = _PAUSES_S[0]
    while True:
        record = read(state)
        release, then = begin(record)
        if then != record and not _written(state, then):
            release, then = record.good, replace(record, trial="")  # no try that is not counted
        if not then.trial:
            _become(state, release)
        status = _supervise(state, release)
        if status == 0:
            sys.exit(0)
        if status != AGAIN:
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
            pause_s = min(2 * pause_s, _PAUSES_S[1])


def _home(argv: list[str]) -> Path:
    """Return the device folder that the command names, as the command will understand it."""
    for option, value in zip(argv, [*argv[1:], ""], strict=True):
        if option == "--home":
            return Path(value)
        if option.startswith("--home="):
            return Path(option.removeprefix("--home="))
    return Path(os.environ.get("SKERRY_HOME", "."))


def _written(state: Path, record: Record) -> bool:
    try:
        write(state, record)
    except OSError as error:
        sys.stderr.write(f"launcher: {state / SLOTS / RECORD}: {error}\n")
        return False
    return True


def _supervise(state: Path, release: str) -> int:
    """Run a release in a child, and return its exit status; a signal's is its negative number."""
    parent, signals = os.getpid(), (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        os.environ[_PARENT] = str(parent)
        alive()
        _become(state, release)

    def forward(number: int, _: object) -> None:
        os.kill(child, number)

    before = [(number, signal.signal(number, forward)) for number in signals]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    _, status = os.waitpid(child, 0)
    for number, handler in before:
        signal.signal(number, handler)
    return os.waitstatus_to_exitcode(status)


def _become(state: Path, release: str) -> NoReturn:
    """Run the command with the code of a release, in this process."""
    code = (state / SLOTS / release).absolute() if release else None
    if code is None or not (code / "skerry_agent").is_dir():
        release, code = "", Path(__file__).absolute().parent.parent
    os.environ[RELEASE] = release
    mine = {str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    sys.path[:] = [str(code), *(path for path in sys.path if path not in mine)]
    os.environ["PYTHONPATH"] = str(code)
    try:
        runpy.run_module("skerry_agent", run_name="__main__", alter_sys=False)
    except SystemExit as end:
        if end.code == AGAIN and _PARENT not in os.environ:
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - itself, once more
        raise
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
