"""A converter's process that misbehaves is an error, and never more than that."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.convert.child import CODE, Child, Limits, bubblewrap_works
from skerry_contract.errors import DeadlineError, ModelError, RuntimeFailedError

pytestmark = pytest.mark.integration

MakeChild = Callable[..., Child]


@pytest.fixture
def child(tmp_path: Path) -> MakeChild:
    """Make a child whose converter is the given text."""
    code, work = tmp_path / "code", tmp_path / "work"
    shutil.copytree(CODE / "converters", code / "converters")
    work.mkdir()

    def make(
        text: str, *, sandbox: bool = True, said: list[str] | None = None, **limits: float
    ) -> Child:
        (code / "converters" / "made.py").write_text(text)
        bounds = Limits(limits.get("timeout_s", 30.0), int(limits.get("memory_bytes", 8 << 30)))
        say = (said if said is not None else []).append
        return Child(Path(sys.executable).absolute(), work, bounds, say, sandbox, code)

    return make


def doing(body: str) -> str:
    return f"import os, sys, time\nfrom .order import say\n\n\ndef do(order):\n    {body}\n"


@pytest.mark.parametrize("sandbox", [True, False])
def test_a_report_comes_back_and_progress_is_told(child: MakeChild, *, sandbox: bool) -> None:
    said: list[str] = []
    made = child(doing("say('half'); return {'x': order['x'] + 1}"), sandbox=sandbox, said=said)

    assert made.run("made", {"x": 1}) == {"x": 2}
    assert said == ["half"]


def test_what_a_library_raises_is_told_with_its_traceback(child: MakeChild) -> None:
    with pytest.raises(ModelError, match="ValueError: odd weights") as caught:
        child(doing("raise ValueError('odd weights')")).run("made", {})
    assert "made.py" in caught.value.detail


def test_a_crash_is_told_with_the_end_of_its_log(child: MakeChild) -> None:
    body = "print('about to go', flush=True); os.kill(os.getpid(), 11)"
    with pytest.raises(RuntimeFailedError, match="without a result") as caught:
        child(doing(body)).run("made", {})
    assert "about to go" in caught.value.detail


def test_an_old_report_is_not_taken_for_a_new_one(child: MakeChild) -> None:
    assert child(doing("return {}")).run("made", {}) == {}
    with pytest.raises(RuntimeFailedError):
        child(doing("os._exit(0)")).run("made", {})


@pytest.mark.parametrize("sandbox", [True, False])
def test_a_child_that_hangs_is_ended_with_all_that_it_started(
    child: MakeChild, tmp_path: Path, *, sandbox: bool
) -> None:
    body = (
        "import subprocess\n"
        "    subprocess.Popen(['sh', '-c', 'while :; do date +%N >beat; sleep 0.05; done'])\n"
        "    time.sleep(1000)"
    )
    with pytest.raises(DeadlineError, match="within 3 s"):
        child(doing(body), sandbox=sandbox, timeout_s=3.0).run("made", {})

    beat = tmp_path / "work" / "beat"
    before = beat.read_text()
    time.sleep(0.5)
    assert beat.read_text() == before


def test_a_child_that_eats_the_memory_is_ended(child: MakeChild) -> None:
    with pytest.raises(RuntimeFailedError, match="more memory than the"):
        child(doing("x = b'1' * (400 << 20); time.sleep(1000)"), memory_bytes=100 << 20).run(
            "made", {}
        )


def test_in_the_sandbox_there_is_no_network_and_nobodys_home(
    child: MakeChild, tmp_path: Path
) -> None:
    assert bubblewrap_works()
    (tmp_path / "secret").write_text("secret")
    body = (
        "return {'interfaces': sorted(line.split(':')[0].strip()"
        " for line in open('/proc/net/dev') if ':' in line),"
        f" 'secret': os.path.exists({str(tmp_path / 'secret')!r}),"
        " 'top': os.listdir('/'), 'etc': os.listdir('/etc'), 'environment': sorted(os.environ)}"
    )

    found = child(doing(body)).run("made", {})

    assert found["interfaces"] == ["lo"]
    assert found["secret"] is False
    assert not {"home", "srv", "var"} & set(found["top"])
    assert set(found["etc"]) <= {"ld.so.cache", "alternatives"}
    assert not {name for name in found["environment"] if "TOKEN" in name or "SKERRY" in name}


def test_a_link_in_place_of_the_report_leads_nowhere(child: MakeChild, tmp_path: Path) -> None:
    (tmp_path / "ours.json").write_text('{"token": "secret"}')
    body = (
        f"os.symlink({str(tmp_path / 'ours.json')!r}, order['folder'] + '/report.json')\n"
        "    os._exit(0)"
    )
    with pytest.raises(RuntimeFailedError, match="cannot be read"):
        child(doing(body)).run("made", {})


def test_no_file_of_ours_stays_open_in_the_child(child: MakeChild) -> None:
    kept = os.open("/dev/null", os.O_RDONLY)
    try:
        found = child(doing("return {'open': len(os.listdir('/proc/self/fd'))}")).run("made", {})
    finally:
        os.close(kept)
    assert found["open"] <= 4
