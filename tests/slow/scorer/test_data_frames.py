"""Real data frames and arrays, collected with the names of both generations.

Slow, because pandas and NumPy are fetched into a folder of their own.
"""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.scorer_host import HOST_FOLDER, ScorerHost

pytestmark = pytest.mark.timeout(600)

PACKAGES = ["pandas==2.3.3", "numpy==2.2.6"]
SCRIPT = """
import numpy as np
import pandas as pd
from azureml.ai.monitoring import Collector
from azureml.monitoring import ModelDataCollector

def frame():
    return pd.DataFrame({
        "whole": np.array([1, 2], np.int8),
        "real": [0.5, np.nan],
        "text": ["a,b", None],
        "time": pd.to_datetime(["2026-01-31T12:00:00Z", None]),
        "kind": pd.Categorical(["x", "y"]),
        "maybe": pd.array([1, pd.NA], dtype="Int64"),
        "yes": [True, False],
        "array": [np.arange(2), np.arange(3)],
    })

def init():
    global inputs, predictions, outputs
    inputs = ModelDataCollector("m", designation="inputs")
    predictions = ModelDataCollector("m", designation="predictions", feature_names=["a", "b"])
    outputs = Collector(name="model_outputs")

def run(data):
    before = frame()
    correlations = inputs.collect(before, "mine")
    scores = predictions.add_correlations(np.array([[0.5, 1], [2, 3]], np.float32), correlations)
    predictions.collect(scores)
    tagged = inputs.add_correlations(before, correlations)
    inputs.collect(tagged)
    context = outputs.collect(before)
    outputs.collect(before["whole"], context)
    outputs.collect(np.zeros((2, 3), np.uint8), context)
    outputs.collect(pd.DataFrame(), context)
    same = before.equals(frame())  # collecting changes nothing
    return [same, len(tagged.columns), scores.shape, context.is_success(), context.get_message()]
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ScorerHost]:
    packages = tmp_path / "packages"
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    into = ["--target", str(packages), "--python", sys.executable, "--only-binary", ":all:"]
    subprocess.run([uv, "pip", "install", "--quiet", *into, *PACKAGES], check=True, timeout=500)
    app = tmp_path / "app"
    app.mkdir()
    (app / "score.py").write_text(SCRIPT)
    env = {"PYTHONPATH": f"{HOST_FOLDER}:{packages}", "SKERRY_DATA_DIR": str(tmp_path / "data")}
    made = ScorerHost(app, app, **env).ready()
    yield made
    made.kill()


def test_frames_arrays_and_series_are_kept_by_both_generations(
    host: ScorerHost, tmp_path: Path
) -> None:
    assert host.score(b"1").json == [True, 16, [2, 10], True, ""]
    assert host.terminate() == 0
    data = tmp_path / "data"

    [path] = data.glob("modeldata/**/inputs.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    told = [{name: row[name] for name in row if not name.startswith("$")} for row in rows]
    first, second = told[:2]
    assert first == {
        "whole": "1",
        "real": "0.5",
        "text": "a,b",
        "time": "2026-01-31 12:00:00+00:00",
        "kind": "x",
        "maybe": "1",
        "yes": "True",
        "array": "[0, 1]",
    }
    assert (second["real"], second["text"], second["time"], second["maybe"]) == ("", "", "", "")
    assert told[2:] == told[:2]  # what add_correlations added is no data
    assert {row["$aml_dc_correlation_id"] for row in rows} == {"mine"}

    [path] = data.glob("modeldata/**/predictions.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(float(row["a"]), float(row["b"])) for row in rows] == [(0.5, 1), (2, 3)]
    assert {row["$aml_dc_correlation_id"] for row in rows} == {"mine"}

    [path] = data.glob("modelDataCollector/**/*.jsonl")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["collectdatatype"] for event in events] == [
        "pandas.core.frame.DataFrame",
        "pandas.core.series.Series",
        "numpy.ndarray",
        "pandas.core.frame.DataFrame",
    ]
    assert events[0]["data"][1] == {
        "whole": 2,
        "real": None,
        "text": None,
        "time": None,
        "kind": "y",
        "maybe": None,
        "yes": False,
        "array": [0, 1, 2],
    }
    assert events[1]["data"] == [{"0": 1, "1": 2}]
    assert events[2]["data"] == [{"0": 0, "1": 0, "2": 0}] * 2
    assert events[3]["data"] == []
