"""What runs inside the test images: it does what ``DO`` says, and tells what it sees."""

import ctypes
import errno
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

RUN_DIR = Path(os.environ["SKERRY_RUN_DIR"])


def tell(name: str, facts: object) -> None:
    beside = RUN_DIR / f"{name}.new"
    beside.write_text(json.dumps(facts))
    beside.rename(RUN_DIR / name)


def writable(path: str) -> bool:
    try:
        Path(path).write_text("x")
    except OSError:
        return False
    return True


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def status_line(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def refused() -> list[str]:
    """Return which of some system calls a filter refuses, by their errors.

    Each is harmless where it is allowed, for a plain process is not held in: nothing can be
    mounted on what is not there, and the error says so unless a filter has come first.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    new_user = 0x1000_0000
    calls = {
        "mount": (libc.mount, b"none", b"/no/such/place", b"tmpfs", 0, None),
        "unshare": (libc.unshare, new_user),
        # What it says of a key that is not there is another error than EPERM.
        "keyctl": (libc.syscall, _KEYCTL[os.uname().machine], 6, 1, 0, 0, 0),
        "clone": (_clone, libc, new_user),
    }
    found = []
    for name, (call, *arguments) in calls.items():
        ctypes.set_errno(0)
        if call(*arguments) == -1 and ctypes.get_errno() == errno.EPERM:
            found.append(name)
    return sorted(found)


_KEYCTL = {"x86_64": 250, "aarch64": 219, "armv7l": 311}
_CLONE = {"x86_64": 56, "aarch64": 220, "armv7l": 120}


def _clone(libc: ctypes.CDLL, flags: int) -> int:
    child = libc.syscall(_CLONE[os.uname().machine], flags | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return int(child)


def look() -> None:
    settings = json.loads((RUN_DIR / "settings.json").read_text())
    folders = {name: given["folder"] for name, given in settings["inputs"].items()}
    tell(
        "facts.json",
        {
            "uid": os.getuid(),
            "capabilities": int(status_line("CapEff"), 16),
            "no_new_privileges": status_line("NoNewPrivs"),
            "root_writable": writable("/app/new") or writable("/new"),
            "tmp_writable": writable(f"{os.environ.get('TMPDIR', '/tmp')}/new"),
            "interfaces": [name for _, name in socket.if_nameindex()],
            "reaches": can_connect(int(os.environ.get("PORT", "1"))),
            "inputs": {name: names(folder) for name, folder in folders.items()},
            "version": Path("version").read_text(),
            "greeting": os.environ.get("GREETING", ""),
            "refused": refused(),
            "processes": sum(map(str.isdecimal, names("/proc"))),
        },
    )
    for folder in folders.values():
        failed = Path(folder) / "failed"
        files = list(Path(folder).iterdir())
        failed.mkdir()
        for file in files:
            file.rename(failed / file.name)


def talk() -> None:
    # As short as it gets: the run folder's own path may not fit an address.
    folder = os.open(RUN_DIR, os.O_PATH)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"/proc/self/fd/{folder}/host.sock")
    (RUN_DIR / "host.sock").chmod(0o666)
    server.listen()
    agent = socket.socket(socket.AF_UNIX)
    agent.connect(f"/proc/self/fd/{folder}/agent.sock")
    agent.sendall(b"hello agent\n")
    peer, _ = server.accept()
    peer.sendall(b"you said " + peer.recv(100))
    peer.close()


def spread() -> None:
    """Leave a child behind that would like to go on."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)


def crash() -> None:
    sys.stderr.write("this is the end\n")
    sys.exit(3)


def hog() -> None:
    held = []
    while True:
        held.append(bytearray(b"x" * 1_000_000))


def shout() -> None:
    for number in range(60_000):
        sys.stdout.write(f"line {number:06} {'x' * 60}\n")


def stay() -> int:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if (RUN_DIR / "end").exists():
            return 5
        time.sleep(0.05)
    return 0


def main() -> int:
    do = os.environ.get("DO", "stay")
    sys.stdout.write(f"begin {do}\n")
    sys.stdout.flush()
    ending = signal.SIG_IGN if do == "stubborn" else lambda *_: sys.exit(0)
    signal.signal(signal.SIGTERM, ending)
    deeds = {"look": look, "talk": talk, "spread": spread, "crash": crash, "hog": hog}
    deed = {**deeds, "shout": shout}.get(do)
    if deed is not None:
        deed()
    sys.stdout.flush()
    (RUN_DIR / "up").touch()
    return stay()


if __name__ == "__main__":
    sys.exit(main())
