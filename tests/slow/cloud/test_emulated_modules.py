"""Real models in modules for ARM, scored under emulation.

Slow: each platform's base, wheels and model are fetched and made anew, and an emulator runs them.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler import BuildRequest, ModelFiles, compile_module
from support.modules import stored, stored_folder
from support.scorer_host import TEMPLATES

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

TEMPLATE = TEMPLATES / "face-detector"
# Of Pillow there is no wheel for armv7, so its picture is made here.
RAMP = """
import os
import numpy
from tflite_runtime.interpreter import Interpreter
def init():
    global model
    file = os.path.join(os.environ["AZUREML_MODEL_DIR"], "face_detection_short_range.tflite")
    model = Interpreter(file)
    model.allocate_tensors()
def run(data):
    [shape] = [entry["shape"] for entry in model.get_input_details()]
    picture = numpy.linspace(-1.0, 1.0, int(numpy.prod(shape)), dtype=numpy.float32)
    model.set_tensor(model.get_input_details()[0]["index"], picture.reshape(shape))
    model.invoke()
    given = [model.get_tensor(output["index"]) for output in model.get_output_details()]
    return {"means": [float(tensor.mean()) for tensor in given]}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([sys.executable, TEMPLATE / "fetch_model.py", folder], check=True, timeout=300)
    return folder


def compiled(request: BuildRequest, blobs: BlobStore, caches: Path) -> list[str]:
    """Compile and try a module; return what was said meanwhile."""
    log: list[str] = []
    compile_module(request, blobs, caches, log.append)
    return log


def test_the_face_detector_finds_its_faces_on_arm64(model: Path, tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    log = compiled(
        BuildRequest(
            name="faces",
            version=1,
            platform="linux/arm64",
            models=(ModelFiles("face", 1, stored_folder(blobs, model)),),
            files=stored_folder(blobs, TEMPLATE),
            entry_script="score.py",
            environment="environment.txt",
        ),
        blobs,
        tmp_path / "caches",
    )
    assert "trying init() under qemu-aarch64-static" in log
    assert "checking the golden set" in log
    assert not [line for line in log if line.startswith("not checked")]


def test_the_same_model_answers_alike_on_amd64_and_armv7(model: Path, tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    means = [9.19809, -10.28604]
    golden = f'[{{"input": "any.txt", "expect": {{"means": {means}}}, "tolerance": 0.001}}]'
    wanted = "tflite-runtime==2.14.0\nnumpy<2\n"
    files = {"score.py": RAMP, "any.txt": "", "golden.json": golden, "environment.txt": wanted}
    for platform in ("linux/amd64", "linux/arm/v7"):
        log = compiled(
            BuildRequest(
                name="ramp",
                version=1,
                platform=platform,
                models=(ModelFiles("face", 1, stored_folder(blobs, model)),),
                files=stored(blobs, files),
                entry_script="score.py",
                environment="environment.txt",
            ),
            blobs,
            tmp_path / "caches",
        )
        assert "checking the golden set" in log
        assert not [line for line in log if line.startswith("not checked")]
