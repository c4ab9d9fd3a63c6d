"""What runs inside the test images: it does what ``DO`` says, and tells what it sees."""

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


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def status_line(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


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
            "inputs": {name: sorted(os.listdir(folder)) for name, folder in folders.items()},
            "version": Path("version").read_text(),
            "greeting": os.environ.get("GREETING", ""),
            "processes": sum(name.isdecimal() for name in os.listdir("/proc")),
        },
    )
    for folder in folders.values():
        for file in Path(folder).iterdir():
            file.rename(RUN_DIR / f"taken-{file.name}")


def talk() -> None:
    # As short as it gets: the run folder's own path may not fit an address.
    folder = os.open(RUN_DIR, os.O_PATH)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"/proc/self/fd/{folder}/host.sock")
    os.chmod(RUN_DIR / "host.sock", 0o666)
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


def main() -> int:
    do = os.environ.get("DO", "sleep")
    print(f"begin {do}", flush=True)
    ending = signal.SIG_IGN if do == "stubborn" else lambda *_: sys.exit(0)
    signal.signal(signal.SIGTERM, ending)
    match do:
        case "crash":
            print("this is the end", file=sys.stderr, flush=True)
            return 3
        case "hog":
            held = []
            while True:
                held.append(bytearray(b"x" * 1_000_000))
        case "shout":
            for number in range(60_000):
                print(f"line {number:06} {'x' * 60}")
        case "look":
            look()
        case "talk":
            talk()
        case "spread":
            spread()
    (RUN_DIR / "up").touch()
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if (RUN_DIR / "end").exists():
            return 5
        time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
