"""Entry scripts that collect data with the names of both generations, in a real host."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.scorer_host import MakeHost, eventually

pytestmark = pytest.mark.integration

FIRST = """
from azureml.monitoring import ModelDataCollector
def init():
    global inputs, predictions
    inputs = ModelDataCollector("best", designation="inputs", feature_names=["user", "f2"])
    predictions = ModelDataCollector("best", designation="predictions", feature_names=["y"])
def run(data):
    correlations = inputs.collect([data, 2.5])
    predictions.collect(predictions.add_correlations([1], correlations))
    return correlations
"""
SECOND = """
import json
from azureml.ai.monitoring import Collector
from azureml.ai.monitoring.context import BasicCorrelationContext
class Odd:
    nbytes = 10 ** 9
def init():
    global inputs, outputs
    inputs, outputs = Collector(name="model_inputs"), Collector(name="model_outputs")
def run(data):
    given = BasicCorrelationContext(id="id-" + data, headers={"X-Request-Id": "r1"})
    rows = [{"user": data, "email": "a@b.c", "n": float("nan")}]
    context = inputs.collect(Odd() if data == "odd" else rows, given)
    outputs.collect([[1, 2], [3, 4]], context)
    return [context.is_success(), context.get_message()]
"""


def lines(folder: Path, pattern: str) -> list[str]:
    return [line for path in sorted(folder.glob(pattern)) for line in path.read_text().splitlines()]


def events(folder: Path, collection: str) -> list[dict[str, Any]]:
    pattern = f"modelDataCollector/*/*/{collection}/*/*/*/*/*.jsonl"
    return [json.loads(line) for line in lines(folder, pattern)]


def counters(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / "counters.json").read_bytes())
    return found


def test_the_first_generation_writes_its_columns_below_its_paths(
    make_host: MakeHost, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    host = make_host(FIRST, SKERRY_DATA_DIR=str(folder), SKERRY_DATA_REDACT="user=hash").ready()
    answer = host.score(b"me").json
    host.score(b"me")
    host.score(b"you")
    assert host.terminate() == 0
    where = "modeldata/default/default/default/default/best/default"
    inputs = list(csv.DictReader(lines(folder, f"{where}/inputs/*/*/*/inputs.csv")))
    predictions = list(csv.DictReader(lines(folder, f"{where}/predictions/*/*/*/predictions.csv")))
    assert [row["f2"] for row in inputs] == ["2.5"] * 3
    assert inputs[0]["user"] == inputs[1]["user"] != inputs[2]["user"]
    assert "me" not in {row["user"] for row in inputs}
    assert [row["y"] for row in predictions] == ["1"] * 3
    key = "$aml_dc_correlation_id"
    assert [row[key] for row in inputs] == [row[key] for row in predictions]
    assert inputs[0][key] == answer[key]


def test_the_second_generation_writes_cloud_events_below_its_paths(
    make_host: MakeHost, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    redact = "user=hash,email=drop"
    host = make_host(SECOND, SKERRY_DATA_DIR=str(folder), SKERRY_DATA_REDACT=redact).ready()
    assert host.score(b"me").json == [True, ""]
    assert host.score(b"odd").json == [False, "1000000000 bytes, at most 4194304 are collected"]
    assert host.terminate() == 0
    [event] = events(folder, "model_inputs")
    assert (event["specversion"], event["type"]) == ("1.0", "azureml.inference.model_inputs")
    assert (event["correlationid"], event["xrequestid"]) == ("id-me", "r1")
    [row] = event["data"]
    assert row.keys() == {"user", "n"}
    assert row["user"] != "me"
    assert row["n"] is None
    outputs = events(folder, "model_outputs")
    assert [one["correlationid"] for one in outputs] == ["id-me", "id-odd"]
    assert outputs[0]["data"] == [{"0": 1, "1": 2}, {"0": 3, "1": 4}]
    assert counters(folder) == {"dropped_unusable": 1, "kept": 3}


def test_a_rate_takes_requests_as_a_whole(make_host: MakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    host = make_host(SECOND, SKERRY_DATA_DIR=str(folder), SKERRY_DATA_RATE_PERCENT="40").ready()
    for i in range(100):
        host.score(b"%d" % i)
    assert host.terminate() == 0
    inputs, outputs = (
        [event["correlationid"] for event in events(folder, name)]
        for name in ("model_inputs", "model_outputs")
    )
    assert 10 < len(inputs) < 90
    assert inputs == outputs
    assert counters(folder)["left_out_by_rate"] == 200 - 2 * len(inputs)


def test_the_budget_holds_and_what_goes_is_counted(make_host: MakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    old = folder / "modelDataCollector/local/default/model_inputs/2020/01/01/00/old.jsonl"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"x" * 700_000)
    os.utime(old, (1, 1))
    script = SECOND.replace('"a@b.c"', '"x" * 20_000')
    limits = {"SKERRY_DATA_DIR": str(folder), "SKERRY_DATA_BUDGET_MB": "1"}
    host = make_host(script, **limits).ready()
    for i in range(100):
        host.score(b"%d" % i)
    assert host.terminate() == 0
    assert not old.exists()
    sizes = [path.stat().st_size for path in folder.glob("*/**/*.jsonl")]
    assert sum(sizes) <= 1024 * 1024
    found = counters(folder)
    assert found["dropped_files"] >= 1
    assert found["dropped_bytes"] >= 700_000
    assert "dropped_budget" not in found  # what is new is kept: what is old goes for it
    kept = [event["correlationid"] for event in events(folder, "model_inputs")]
    assert kept == [f"id-{i}" for i in range(100 - len(kept), 100)]
    assert len(kept) > 30


def test_nothing_is_collected_unless_it_is_asked_for_and_run_goes_on(
    make_host: MakeHost, tmp_path: Path
) -> None:
    host = make_host(SECOND).ready()
    success, message = host.score(b"me").json
    assert not success
    assert "SKERRY_DATA_DIR" in message
    broken = make_host(SECOND, SKERRY_DATA_DIR="/proc/nowhere").ready()
    assert broken.score(b"me").status == 200
    assert "data is not collected" in broken.log.read_text()
    assert list(tmp_path.glob("**/*.jsonl")) == []


def test_a_policy_in_the_run_folder_counts_and_a_kill_leaves_whole_lines(
    make_host: MakeHost, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    host = make_host(SECOND)
    host.settings(data={"folder": str(folder), "rate_percent": 100, "redact": {"user": "drop"}})
    host.ready().score(b"me")
    eventually(lambda: events(folder, "model_outputs"))
    host.kill()
    host.ready().score(b"you")
    assert host.terminate() == 0
    assert len(events(folder, "model_inputs")) == 2


def test_a_package_that_is_really_there_wins(make_host: MakeHost, tmp_path: Path) -> None:
    real = tmp_path / "real/azureml/ai/monitoring"
    real.mkdir(parents=True)
    (real / "__init__.py").write_text("class Collector:\n    real = True\n")
    script = (
        "from azureml.ai.monitoring import Collector\n"
        "from azureml.monitoring import ModelDataCollector\n"
        "def init(): ...\ndef run(data): return [Collector.real, ModelDataCollector.__module__]\n"
    )
    host_folder = Path(__file__).parents[3] / "scorer"
    path = f"{host_folder}:{tmp_path / 'real'}"
    host = make_host(script, PYTHONPATH=path).ready()
    assert host.score(b"").json == [True, "skerry_scorer.azure.collector_v1"]
