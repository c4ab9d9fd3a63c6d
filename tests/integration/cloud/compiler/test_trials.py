"""Entry scripts that do harm, tried for real: they fail in seconds and leave nothing behind."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.trial import How, try_module
from skerry_cloud.compiler.trial_group import Group
from skerry_cloud.compiler.trial_watch import Limits
from skerry_contract.errors import GoldenError, InitFailedError
from support.modules import Build, doubling, stored

# The first build fetches and compresses a whole base.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

Try = Callable[..., None]
MIB = 1024 * 1024
SMALL = Limits(processes=100, memory_bytes=512 * MIB, run_bytes=8 * MIB, idle_s=3.0)


def script(init: str, run: str = "pass") -> str:
    lines = "\n    ".join(init.splitlines())
    return f"import os, time\ndef init():\n    {lines}\ndef run(data):\n    {run}\n"


@pytest.fixture
def attempt(build: Build, root: Path, blobs: BlobStore) -> Iterator[Try]:
    """Compile a script and try it; nothing may be left of it."""

    def run(score: str, limits: Limits = SMALL, *, sandboxed: bool = True, s: float = 60) -> None:
        golden = '[{"input": "any.txt", "expect": 1}]'
        files = stored(blobs, {"score.py": score, "golden.json": golden, "any.txt": "1"})
        image = build(files=files, check_init=False)
        assert image.checked == "not-asked"
        how = How(sandboxed=sandboxed, deadline_s=s, limits=limits)
        trees = root / "caches/trees"
        try_module(doubling(blobs, files=files), image, blobs, trees, print, how=how)

    yield run
    assert not list((root / "caches").glob("scratch-*"))
    assert not [path for path in Path("/sys/fs/cgroup").glob("*/**/skerry-trial-*") if here(path)]
    held = [path for path in Path("/proc").glob("[0-9]*/mountinfo") if str(root) in text_of(path)]
    assert not held


def here(folder: Path) -> bool:
    """Return whether a group was made by this process."""
    return folder.name.startswith(f"skerry-trial-{os.getpid()}-")


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.fixture(params=["held by the kernel", "watched only"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Try with and without a control group, as on machines that give none."""
    how = str(request.param)
    if how == "watched only":
        monkeypatch.setattr("skerry_cloud.compiler.trial_group._parents", lambda _own: {})
    return how


FORKS = "for _ in range(400):\n    if not os.fork():\n        time.sleep(600)"
BOMB = "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass"


@pytest.mark.parametrize("init", [FORKS, BOMB], ids=["many processes", "fork bomb"])
def test_processes_without_end_are_ended(attempt: Try, kernel: str, init: str) -> None:
    if (init, kernel) == (BOMB, "watched only"):
        init = FORKS  # A real one might win a race that a busy machine makes long.
    with pytest.raises(InitFailedError) as caught:
        attempt(script(init))
    # Either the watch says so, or the kernel told the script, whose traceback says so.
    said = caught.value.text + caught.value.detail
    assert "more than 100 processes" in said or "Resource temporarily unavailable" in said


HOGS = """for _ in range(8):
    if not os.fork():
        held = bytearray(b'x') * (200 << 20)
        time.sleep(600)
time.sleep(600)"""
FILLS = """i = 0
while True:
    open(f'/run/skerry/{i}', 'wb').write(bytes(1 << 20))
    i += 1
    time.sleep(0.005)"""


def test_processes_that_take_too_much_memory_together_are_ended(attempt: Try, kernel: str) -> None:
    with pytest.raises(InitFailedError, match="took more than 512 MiB of memory"):
        attempt(script(HOGS))
    assert kernel


def test_a_process_that_takes_too_much_memory_fails_where_it_asks(attempt: Try) -> None:
    with pytest.raises(InitFailedError, match="MemoryError") as caught:
        attempt(script("bytearray(1 << 30)"))
    assert "line 3, in init" in caught.value.detail


def test_a_full_scratch_folder_is_the_scripts_own_error(
    attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry_cloud.compiler.trial_command.SCRATCH_BYTES", 16 * MIB)
    for folder in ("/tmp", "/dev/shm"):
        with pytest.raises(InitFailedError, match="No space left on device"):
            attempt(script(f"open('{folder}/x', 'wb').write(bytes(64 << 20))"))
    with pytest.raises(InitFailedError, match="Read-only file system"):
        attempt(script("open('/dev/x', 'w')"))


def test_a_full_run_folder_never_fills_the_servers_disk(attempt: Try) -> None:
    with pytest.raises(InitFailedError, match="wrote more than 8 MiB into its run folder"):
        attempt(script(FILLS))


def test_an_init_that_waits_for_ever_is_ended_with_the_line_where_it_stands(attempt: Try) -> None:
    with pytest.raises(InitFailedError, match="did nothing for 3 s") as caught:
        attempt(script("print('loading', flush=True)\ntime.sleep(600)"))
    assert "loading" in caught.value.detail
    assert 'File "/var/azureml-app/score.py", line 4 in init' in caught.value.detail


def test_a_run_that_waits_for_ever_is_ended_too(attempt: Try) -> None:
    with pytest.raises(GoldenError, match="did nothing for 3 s") as caught:
        attempt(script("pass", "time.sleep(600)"))
    assert 'File "/var/azureml-app/score.py", line 5 in run' in caught.value.detail


@pytest.mark.parametrize("sandboxed", [True, False], ids=["bubblewrap", "plain child"])
def test_an_init_that_computes_without_end_shows_where(attempt: Try, *, sandboxed: bool) -> None:
    with pytest.raises(InitFailedError, match="had not returned in time") as caught:
        attempt(script("while True:\n    pass"), sandboxed=sandboxed, s=4.0)
    where = r'File "/var/azureml-app/score\.py", line [34] in init'
    assert re.search(where, caught.value.detail)


def test_an_init_that_takes_its_time_is_left_alone(attempt: Try) -> None:
    work = "until = time.monotonic() + 5\nwhile time.monotonic() < until:\n    pass"
    attempt(script(work, "return 1"))


def test_an_init_that_kills_its_process_shows_where(build: Build, blobs: BlobStore) -> None:
    text = script("print('dying', flush=True)\nos.abort()")
    with pytest.raises(InitFailedError, match=r"ended with status") as caught:
        build(files=stored(blobs, {"score.py": text}))
    assert "dying" in caught.value.detail
    assert "line 4 in init" in caught.value.detail


def test_a_group_that_holds_nothing_changes_no_command() -> None:
    assert Group({}).entering(["true"]) == ["true"]
    assert Group({}).broken() == ""


def test_a_sandboxed_init_sees_no_network_and_cannot_write(build: Build, blobs: BlobStore) -> None:
    script = """
import os, socket
def init():
    assert os.getuid() == 65532
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    for folder in ("/", "/var/azureml-app", os.environ["AZUREML_MODEL_DIR"], "/opt/skerry/host"):
        try:
            open(folder + "/new", "w")
        except OSError:
            continue
        raise AssertionError(folder)
    open("/tmp/new", "w")
def run(data):
    pass
"""
    build(files=stored(blobs, {"score.py": script}))
