"""The tests' own Docker daemon works, and nothing of it stays behind."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from support.dockerd import Dockerd, own_dockerd
from support.programs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

_WAITS = "trap 'exit 0' TERM; while true; do busybox sleep 0.1; done"
_GET = """
import sys, time, urllib.request
for _ in range(100):
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode(), end="")
        break
    except OSError:
        time.sleep(0.1)
"""


def load_busybox(daemon: Dockerd, folder: Path) -> None:
    """Make an image of one static program, without any registry."""
    archive = folder / "busybox.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(need("busybox", "busybox-static"), "bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link, io.BytesIO())
    daemon.docker("import", str(archive), "busybox:local")


def mounts_and_processes(word: str) -> str:
    mounts = Path("/proc/mounts").read_text()
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    lines = (mounts + processes.stdout).splitlines()
    return "\n".join(line for line in lines if word in line)


def test_the_daemon_runs_containers_and_publishes_ports(dockerd: Dockerd, tmp_path: Path) -> None:
    load_busybox(dockerd, tmp_path)
    serve = "echo hello > /index.html; exec busybox httpd -f -p 5001 -h /"
    options = ["--detach", "--rm", "--name=web", "--publish=5001:5001"]
    dockerd.docker("run", *options, "busybox:local", "/bin/sh", "-c", serve)
    try:
        assert dockerd.inside(sys.executable, "-c", _GET, "http://127.0.0.1:5001") == "hello\n"
    finally:
        dockerd.docker("rm", "--force", "web")


def test_nothing_of_a_daemon_stays_behind_even_when_containers_run(tmp_path: Path) -> None:
    with own_dockerd() as daemon:
        folder = daemon.socket.parent
        load_busybox(daemon, tmp_path)
        daemon.docker("run", "--detach", "busybox:local", "/bin/sh", "-c", _WAITS)
        assert mounts_and_processes(str(folder))
    assert not folder.exists()
    assert mounts_and_processes(str(folder)) == ""
