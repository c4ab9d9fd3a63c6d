"""KServe's own REST client as a judge of the Open Inference Protocol.

Slow, because kserve brings some 300 MB of libraries that nothing else here needs; they are fetched
into an environment of its own.
"""

import json
import subprocess
import venv
from pathlib import Path

import pytest

from support.azure_scripts import NAMED
from support.scorer_host import ScorerHost, port_of

pytestmark = pytest.mark.timeout(900)

KSERVE = "kserve==0.21.0"
CLIENT = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def main(url):
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    told = {"live": await client.is_server_live(url), "ready": await client.is_server_ready(url)}
    told["model"] = await client.is_model_ready(url, "model")
    for binary in (False, True):
        rows = InferInput("rows", [2, 2], "FP64")
        rows.set_data_from_numpy(np.array([[1.0, 2.0], [3.0, 4.0]]), binary_data=binary)
        asked = InferRequest(model_name="model", infer_inputs=[rows], request_id="r")
        answer = await client.infer(url, asked, model_name="model")
        told[f"binary {binary}"] = [answer.id, answer.outputs[0].as_numpy().tolist()]
    print(json.dumps(told))

asyncio.run(main(sys.argv[1]))
"""


def test_kserves_client_finds_the_server_ready_and_infers(tmp_path: Path) -> None:
    venv.create(tmp_path / "kserve", with_pip=True)
    python = tmp_path / "kserve" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", KSERVE], check=True, timeout=800)
    app = tmp_path / "app"
    app.mkdir()
    (app / "score.py").write_text(NAMED)
    host = ScorerHost(app, app, SKERRY_PORT="0", SKERRY_ADDRESS="127.0.0.1").ready()
    try:
        url = f"http://127.0.0.1:{port_of(host)}"
        command: list[str | Path] = [python, "-c", CLIENT, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
    finally:
        host.kill()
    assert told == {
        "live": True,
        "ready": True,
        "model": True,
        "binary False": ["r", [9.0, 21.0]],
        "binary True": ["r", [9.0, 21.0]],
    }
