"""How the scorer host starts, fails and ends."""

import json
import sys
import threading
from pathlib import Path

import pytest

from support.scorer_host import TEMPLATES, MakeHost, ScorerHost, eventually

pytestmark = pytest.mark.integration

PSS_LIMIT_KB = 25 * 1024


@pytest.mark.parametrize(
    ("script", "text", "detail"),
    [
        pytest.param(
            "def init():\n    open('labels.txt')\ndef run(data): ...\n",
            "score.py: init() raised FileNotFoundError: [Errno 2] No such file or directory: "
            "'labels.txt' (score.py:2)",
            'score.py", line 2, in init',
            id="init raises",
        ),
        pytest.param(
            "import no_such_package\n",
            "score.py cannot be imported: ModuleNotFoundError: No module named 'no_such_package' "
            "(score.py:1)",
            'score.py", line 1, in <module>',
            id="import fails",
        ),
        pytest.param("def init(:\n", "SyntaxError", 'score.py", line 1', id="syntax"),
        pytest.param(
            "def init():\n    try:\n        1 / 0\n    except ValueError: ...\ndef run(d): ...",
            "ZeroDivisionError",
            "1 / 0",
            id="the line itself is shown",
        ),
        pytest.param(
            "def init():\n    raise SystemExit('no licence')\ndef run(data): ...\n",
            "SystemExit: no licence",
            "line 2, in init",
            id="init exits",
        ),
        pytest.param("def init(): ...\n", "defines no function run()", "", id="no run"),
        pytest.param("init = 3\ndef run(d): ...\n", "defines no function init()", "", id="no init"),
        pytest.param("def init(): ...\ndef run(): ...\n", "must take one argument", "", id="args"),
    ],
)
def test_a_script_that_cannot_work_says_why_in_its_own_words(
    make_host: MakeHost, script: str, text: str, detail: str
) -> None:
    host = make_host(script).start()
    assert host.wait() == 3
    failure = json.loads((host.run_dir / "failure.json").read_text())
    assert failure["code"] == "INIT_FAILED"
    assert text in failure["text"]
    assert detail in failure["detail"]
    assert "skerry_scorer" not in failure["detail"]
    assert "importlib" not in failure["detail"]
    assert failure["detail"] in host.log.read_text()


def test_a_script_that_is_not_there_is_missed_by_name(tmp_path: Path) -> None:
    (tmp_path / "scoring.py").touch()
    host = ScorerHost(tmp_path, tmp_path).start()
    assert host.wait() == 3
    text = json.loads((tmp_path / "failure.json").read_text())["text"]
    assert text.startswith(f"score.py is not in {tmp_path}, which holds")
    assert "scoring.py" in text


def test_a_chain_of_causes_is_shown_without_frames_of_the_host(make_host: MakeHost) -> None:
    host = make_host(
        "def init():\n"
        "    try:\n        int('x')\n"
        "    except ValueError as error:\n        raise RuntimeError('bad model') from error\n"
        "def run(data): ...\n"
    ).start()
    assert host.wait() == 3
    detail = json.loads((host.run_dir / "failure.json").read_text())["detail"]
    assert "invalid literal" in detail
    assert "direct cause" in detail
    assert "bad model" in detail


def test_threads_of_a_script_do_not_keep_a_host_that_failed(make_host: MakeHost) -> None:
    host = make_host(
        "import threading, time\n"
        "def init():\n"
        "    threading.Thread(target=time.sleep, args=[3600], daemon=False).start()\n    1 / 0\n"
        "def run(data): ...\n"
    ).start()
    assert host.wait() == 3


def test_word_of_an_earlier_failure_goes_with_the_next_start(make_host: MakeHost) -> None:
    host = make_host()
    (host.run_dir / "failure.json").write_text("{}")
    host.ready()
    assert not (host.run_dir / "failure.json").exists()


def test_wrong_settings_are_told_and_end_with_status_2(make_host: MakeHost) -> None:
    host = make_host(SKERRY_PORT="many").start()
    assert host.wait() == 2
    assert "SKERRY_PORT must be a whole number" in host.log.read_text()
    other = make_host()
    other.settings(inputs={"frames": {"pattern": "*"}})
    assert other.start().wait() == 2
    assert "inputs.frames.folder" in other.log.read_text()


def test_sigterm_lets_the_request_under_way_finish(make_host: MakeHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    host = make_host(
        "import pathlib, time\ndef init(): ...\n"
        "def run(data):\n    while not pathlib.Path(data).exists(): time.sleep(0.01)\n"
        "    return 1\n"
    ).ready()
    replies: list[bytes] = []
    scoring = threading.Thread(target=lambda: replies.append(host.score(str(gate).encode()).body))
    scoring.start()
    eventually(lambda: host.status()["busy_s"] > 0)
    assert host.process is not None
    host.process.terminate()
    eventually(lambda: "stopping" in host.log.read_text())
    gate.touch()
    assert host.wait() == 0
    scoring.join(10)
    assert replies == [b"1"]


def test_a_run_that_never_returns_does_not_hold_up_the_end(make_host: MakeHost) -> None:
    host = make_host(
        "import time\ndef init(): ...\ndef run(data): time.sleep(3600)\n", SKERRY_DRAIN_S="0"
    ).ready()
    scoring = threading.Thread(target=_score_in_vain, args=[host])
    scoring.start()
    eventually(lambda: host.status()["busy_s"] > 0)
    assert host.terminate() == 4
    scoring.join(10)


def _score_in_vain(host: ScorerHost) -> None:
    with pytest.raises(OSError, match=r"closed|reset|Remote"):
        host.score(b"")


def test_sigterm_during_init_ends_it_at_once_and_init_is_no_time_of_run(
    make_host: MakeHost, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    host = make_host(
        "import pathlib, time\n"
        f"def init():\n    pathlib.Path({str(begun)!r}).touch()\n    time.sleep(3600)\n"
        "def run(data): ...\n"
    ).start()
    eventually(begun.exists)
    assert (host.status()["ready"], host.status()["busy_s"]) == (False, 0.0)
    assert host.terminate() == 0


def test_a_host_that_was_killed_starts_again_in_the_same_folder(make_host: MakeHost) -> None:
    host = make_host().ready()
    host.kill()
    assert (host.run_dir / "host.sock").is_socket()
    host.ready()
    assert host.score(b"1").status == 200


def test_a_run_folder_with_a_very_long_path_works(tmp_path: Path) -> None:
    run_dir = tmp_path / ("a" * 100) / ("b" * 100)
    run_dir.mkdir(parents=True)
    host = ScorerHost(run_dir, TEMPLATES / "echo").ready()
    assert host.score(b"1").json == 1
    assert host.terminate() == 0


def test_the_host_itself_stays_small(make_host: MakeHost) -> None:
    host = make_host().ready()
    host.score(b"1")
    assert host.process is not None
    rollup = Path(f"/proc/{host.process.pid}/smaps_rollup").read_text()
    [pss] = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")]
    assert pss < PSS_LIMIT_KB


def test_the_host_needs_nothing_but_the_standard_library(make_host: MakeHost) -> None:
    script = "import sys\ndef init(): ...\ndef run(data): return sorted(sys.modules)\n"
    found = {name.split(".")[0] for name in make_host(script).ready().score(b"").json}
    ours = {"skerry_scorer", "entry_module", "__main__"}
    of_the_installation = {"sitecustomize", "_distutils_hack"}
    assert found - set(sys.stdlib_module_names) - ours <= of_the_installation
