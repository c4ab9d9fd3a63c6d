"""``skerry model profile`` with the real scorer host, held as this machine can hold it."""

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skerry import procfs
from skerry.profile.limits import ControlGroup, DutyCycle, Holder
from support.fake_cloud import FakeCloud
from support.skerry_command import Skerry

pytestmark = pytest.mark.integration

ECHO = Path(__file__).parents[4] / "module-templates" / "echo"
SCORE = """
import json, os
from pathlib import Path


def init():
    global word
    word = Path(os.environ["AZUREML_MODEL_DIR"], "word.txt").read_text()


def run(data):
    if json.loads(data)["n"] < 0:
        raise ValueError("n is below 0")
    return word
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "words"
    made.mkdir()
    (made / "score.py").write_text(SCORE)
    (made / "module.toml").write_text('name = "words"\nmodels = ["word:1"]\n')
    (tmp_path / "word.txt").write_text("porch")
    (tmp_path / "good.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (tmp_path / "bad.jsonl").write_text('{"n": 1}\n{"n": -1}\n')
    return made


def profile(skerry: Skerry, *args: object) -> Any:
    done = skerry("model", "profile", *args, "--output", "json")
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)


def test_a_template_is_profiled_with_its_golden_set(skerry: Skerry, tmp_path: Path) -> None:
    given = ("--queries", 40, "--cpu", 0.5, "--cpu", 1, "--plot", tmp_path / "plot.svg")

    found = profile(skerry, ECHO, *given)

    assert (found["totalQueries"], found["successQueries"]) == (40, 40)
    assert [one["requestedCpu"] for one in found["runs"]] == [0.5, 1.0]
    assert found["recommendedCpu"] in {0.5, 1.0}
    assert 0.01 < found["maxUtilizedMemory"] < found["recommendedMemoryInGB"] < 0.5
    assert 0 < found["latencyPercentiles"]["p50"] <= found["latencyPercentiles"]["p99"]
    assert ET.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")  # noqa: S314


def test_the_models_come_from_the_server(
    skerry: Skerry, cloud: FakeCloud, folder: Path, tmp_path: Path
) -> None:
    skerry.ok("model", "register", "-p", tmp_path / "word.txt", "-n", "word")
    found = profile(skerry, folder, "-d", tmp_path / "good.jsonl", "--queries", 4)
    assert found["successQueries"] == 4
    assert "GET /v1/models/word/1" in cloud.requests


def test_a_request_that_fails_fails_the_profile_with_its_text(
    skerry: Skerry, folder: Path, tmp_path: Path
) -> None:
    given = (folder, "--model-dir", tmp_path, "-d", tmp_path / "bad.jsonl", "--queries", 4)

    refused = profile(skerry, *given)
    allowed = profile(skerry, *given, "--allow-failures")

    assert "2 of 4 requests failed" in refused["error"]["text"]
    assert "n is below 0" in refused["error"]["detail"]
    assert (allowed["successQueries"], allowed["successRate"]) == (2, 50.0)
    assert "bad.jsonl:2: 500" in allowed["errors"][0]


def test_an_init_that_raises_shows_its_traceback(
    skerry: Skerry, folder: Path, tmp_path: Path
) -> None:
    given = ("--model-dir", folder, "-d", tmp_path / "good.jsonl")
    found = profile(skerry, folder, *given)
    assert found["error"]["code"] == "INIT_FAILED"
    assert "word.txt" in found["error"]["detail"]


def test_a_scorer_that_needs_more_memory_than_the_limit_says_so(
    skerry: Skerry, folder: Path, tmp_path: Path
) -> None:
    hungry = SCORE.replace("global word", "global word, much; much = b'x' * (300 << 20)")
    (folder / "score.py").write_text(hungry)
    given = ("--model-dir", tmp_path, "-d", tmp_path / "good.jsonl", "--memory-gb", 0.1)
    found = profile(skerry, folder, *given)
    assert "more memory" in found["error"]["text"]
    assert "--memory-gb" in found["error"]["remedy"]


HOLDERS: dict[str, Callable[[], Holder]] = {
    "control groups": lambda: ControlGroup(0.2, 512 << 20),
    "stopping and continuing": lambda: DutyCycle(0.2),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_held_process_gets_its_share_of_a_processor_and_no_more(name: str) -> None:
    holder = HOLDERS[name]()
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        holder.join(process.pid)
        before, began = procfs.cpu_s(process.pid), time.monotonic()
        time.sleep(2.0)
        share = (procfs.cpu_s(process.pid) - before) / (time.monotonic() - began)
    finally:
        process.kill()
        process.wait()
        holder.close()
    # On its own it takes a whole one; a busy machine only makes it less.
    assert 0 < share < 0.6


def test_control_groups_are_removed_in_the_end() -> None:
    holder = ControlGroup(1.0, 512 << 20)
    made = list(holder._folders)
    assert all(folder.is_dir() for folder in made)
    holder.close()
    assert not any(folder.exists() for folder in made)
