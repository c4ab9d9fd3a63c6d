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
from typing import Any

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
    calls: dict[str, tuple[Any, ...]] = {
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
            "dev_writable": writable("/dev/new"),
            "shared_memory": writable("/dev/shm/new"),
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


def hogs() -> None:
    """Take 50 MB in each of three children, and tell whether one of them was killed."""
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            held = bytearray(b"x" * 50_000_000)
            time.sleep(60 if held else 0)
            os._exit(0)
        children.append(child)
    ended = os.waitpid(-1, 0)[1]
    killed = os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue
    tell("facts.json", {"killed": killed})


def multiply() -> None:
    children: list[int] = []
    try:
        while len(children) < 1000:
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                time.sleep(600)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    tell("facts.json", {"started": len(children)})
    for child in children:
        os.kill(child, signal.SIGKILL)


def spin() -> None:
    started = time.monotonic()
    while time.process_time() < 0.6:
        pass
    facts = {"wall_s": time.monotonic() - started, "used_s": time.process_time()}
    tell("facts.json", facts)


def fill() -> None:
    written, error = 0, ""
    with open("/tmp/big", "wb", buffering=0) as file:  # noqa: PTH123 - inside a sandbox
        while not error and written < 200_000_000:
            try:
                written += file.write(bytes(1024 * 1024))
            except OSError as refused:
                error = errno.errorcode[refused.errno or 0]
    tell("facts.json", {"written": written, "error": error})


def orphan() -> None:
    """Leave grandchildren behind that end at once, and count those that nobody has reaped."""
    ended, end = os.pipe()
    for _ in range(5):
        child = os.fork()
        if child == 0:
            if os.fork() == 0:
                time.sleep(0.05)
            os._exit(0)
        os.waitpid(child, 0)
    os.close(end)
    os.read(ended, 1)  # until the last of them has gone
    deadline = time.monotonic() + 5
    while zombies() and time.monotonic() < deadline:
        time.sleep(0.05)
    tell("facts.json", {"zombies": zombies()})


def zombies() -> int:
    """Return how many of our own kind have ended and are still there."""
    found = 0
    for folder in Path("/proc").iterdir():
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()
            same_user = folder.stat().st_uid == os.getuid()
        except OSError:
            continue
        found += state[0] == "Z" and same_user and state[3] == str(os.getsid(0))
    return found


def use() -> None:
    """Read each of ``PATHS`` and try to write to it; look for others on the way."""
    paths = os.environ["PATHS"].split(":")
    read, used = {}, {}
    for path in paths:
        try:
            if Path(path).is_file():
                read[path] = Path(path).read_text()
            opened = os.open(path, os.O_WRONLY)
            try:
                os.write(opened, b"x")
            finally:
                os.close(opened)
            used[path] = ""
        except OSError as error:
            used[path] = errno.errorcode[error.errno or 0]
    # Told backwards, or it would be found in our own environment.
    canary = os.environ.get("LOOK", "\0")[::-1].encode()
    seen = [name for name in names("/proc") if name.isdecimal() and int(name) != os.getpid()]
    found = 0
    for name in seen:
        try:
            found += canary in Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
    others = [name for name in seen if name != "1"]
    tell("facts.json", {"read": read, "used": used, "environments": found, "others": others})


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
    deeds = (look, talk, spread, crash, hog, hogs, multiply, spin, fill, orphan, use, shout)
    deed = {one.__name__: one for one in deeds}.get(do)
    if deed is not None:
        deed()
    sys.stdout.flush()
    (RUN_DIR / "up").touch()
    return stay()


if __name__ == "__main__":
    sys.exit(main())
