"""Local services: real scorer hosts, found again, replaced, killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.local import processes
from skerry.local.places import Places
from skerry.local.ports import free_port
from skerry.local.record import Record
from skerry.local.service import LocalService, services
from skerry_contract.errors import ConflictError, InitFailedError, NotFoundError
from support.waiting import eventually

WriteScript = Callable[[str], Path]

SAYS = "def init():\n    pass\n\n\ndef run(data):\n    return {word!r}\n"
BROKEN = "def init():\n    raise KeyError('no such label')\n\n\ndef run(data):\n    return 1\n"
SEES_MODELS = """
import os
def init():
    pass
def run(data):
    root = os.environ["AZUREML_MODEL_DIR"]
    found = [os.path.join(d, f) for d, _, fs in os.walk(root, followlinks=True) for f in fs]
    return sorted(os.path.relpath(f, root) for f in found)
"""


def service_of(places: Places, source: Path, **more: object) -> tuple[LocalService, Record]:
    record = Record(
        name="greeter",
        port=free_port(),
        source=str(source),
        entry_script="score.py",
        python=sys.executable,
        **more,  # type: ignore[arg-type]
    )
    return LocalService(places.services / "greeter"), record


def ask(record: Record) -> object:
    url = f"http://127.0.0.1:{record.port}/score"
    with urllib.request.urlopen(url, data=b"{}", timeout=20) as answer:
        return json.loads(answer.read())


def test_it_serves_and_is_deleted(places: Places, write_script: WriteScript) -> None:
    service, record = service_of(places, write_script(SAYS.format(word="ahoy")))
    assert service.state() == "deleted"
    service.deploy(record)
    lines: list[str] = []
    service.wait(show=lines.append)
    assert service.state() == "running"
    assert ask(record) == "ahoy"
    assert any("ready" in line for line in lines)
    assert [one.name for one in services(places.services)] == ["greeter"]
    service.delete()
    assert service.state() == "deleted"
    assert processes.find(places.services / "greeter") == []
    with pytest.raises(NotFoundError):
        service.record()


def test_it_outlives_who_started_it(places: Places, write_script: WriteScript) -> None:
    service, record = service_of(places, write_script(SAYS.format(word="still here")))
    program = (
        "import sys, pathlib\n"
        "from skerry.local.record import Record\n"
        "from skerry.local.service import LocalService\n"
        f"one = LocalService(pathlib.Path({str(places.services / 'greeter')!r}))\n"
        f"one.deploy({record!r})\none.wait()\n"
    )
    env = {**os.environ, "PYTHONPATH": ":".join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", program], env=env, timeout=50, check=True)
    assert service.state() == "running"
    assert ask(record) == "still here"


def test_a_killed_process_is_told_as_it_is(places: Places, write_script: WriteScript) -> None:
    service, record = service_of(places, write_script(SAYS.format(word="x")))
    service.deploy(record)
    service.wait()
    [process] = processes.find(places.services / "greeter")
    os.kill(process.pid, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: service.state() == "failed")
    with pytest.raises(InitFailedError):
        service.wait()
    service.reload()
    assert service.state() == "running"
    assert ask(record) == "x"


def test_a_broken_script_fails_with_its_own_traceback(
    places: Places, write_script: WriteScript
) -> None:
    source = write_script(BROKEN)
    service, record = service_of(places, source)
    service.deploy(record)
    with pytest.raises(InitFailedError) as caught:
        service.wait()
    assert "KeyError: 'no such label'" in caught.value.detail
    assert f'"{source / "score.py"}", line 2' in caught.value.detail
    assert service.state() == "failed"
    assert "no such label" in service.last_lines(50)


def test_a_reload_turns_no_request_away(places: Places, write_script: WriteScript) -> None:
    service, record = service_of(places, write_script(SAYS.format(word="old")))
    service.deploy(record)
    service.wait()
    answers: list[object] = []
    stop = threading.Event()

    def ask_on() -> None:
        while not stop.is_set():
            try:
                answers.append(ask(record))
            except OSError as error:
                answers.append(error)

    asking = threading.Thread(target=ask_on)
    asking.start()
    eventually(lambda: answers)
    write_script(SAYS.format(word="new"))
    service.reload()
    seen = len(answers)
    eventually(lambda: len(answers) > seen + 5)
    stop.set()
    asking.join(20)
    assert set(map(str, answers)) == {"old", "new"}
    assert answers[-1] == "new"
    assert len(processes.find(places.services / "greeter")) == 1


def test_a_broken_reload_leaves_what_serves(places: Places, write_script: WriteScript) -> None:
    service, record = service_of(places, write_script(SAYS.format(word="good")))
    service.deploy(record)
    service.wait()
    write_script(BROKEN)
    with pytest.raises(InitFailedError) as caught:
        service.reload()
    assert "no such label" in caught.value.detail
    assert ask(record) == "good"
    assert service.state() == "running"
    assert len(processes.find(places.services / "greeter")) == 1


def test_a_host_that_just_ends_is_not_blamed_on_what_ran_before(
    places: Places, write_script: WriteScript
) -> None:
    service, record = service_of(
        places, write_script("print('of the first')\n" + SAYS.format(word="ahoy"))
    )
    service.deploy(record)
    service.wait()
    write_script("print('of the second')\ndef init():\n    import os\n    os._exit(0)\n")
    with pytest.raises(InitFailedError) as caught:
        service.reload()
    assert "of the first" in service.last_lines(100)
    assert "of the first" not in caught.value.detail
    service.delete()


def test_a_taken_port_is_refused(places: Places, write_script: WriteScript) -> None:
    service, record = service_of(places, write_script(SAYS.format(word="x")))
    service.deploy(record)
    service.wait()
    other = LocalService(places.services / "other")
    with pytest.raises(ConflictError, match=str(record.port)):
        other.deploy(record)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (("sentiment/3",), ["models/a.bin"]),
        (("sentiment/3", "other/1"), ["other/1/models/a.bin", "sentiment/3/models/a.bin"]),
    ],
)
def test_models_lie_as_in_a_module(
    places: Places,
    write_script: WriteScript,
    tmp_path: Path,
    models: tuple[str, ...],
    expected: list[str],
) -> None:
    (tmp_path / "fetched" / "models").mkdir(parents=True)
    (tmp_path / "fetched" / "models" / "a.bin").write_bytes(b"a")
    service, record = service_of(
        places,
        write_script(SEES_MODELS),
        models={place: str(tmp_path / "fetched") for place in models},
    )
    service.deploy(record)
    service.wait()
    assert ask(record) == expected
