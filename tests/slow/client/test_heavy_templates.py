"""The templates of Keras and PyTorch, by the words of their pages.

Slow: their packages are some hundred megabytes each, PyTorch's on an x86-64 machine some gigabytes
(unless pip is told of an index with builds for processors alone), and as much again for converters.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.edge import Edge
from support.programs import need
from support.site import Site, running_site
from support.skerry_command import Skerry
from support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]

MANIFEST = """
name: vibration
target: {devices: [porch-camera]}
modules:
  motor:
    image: vibration:%s
    inputs:
      windows: {folder: windows, pattern: "*.json"}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("templates")
    caches = tmp_path_factory.mktemp("caches")
    with running_site(folder, caches, "--broker", "mosquitto") as running:
        yield running


@pytest.fixture
def skerry(site: Site) -> Skerry:
    command = site.skerry
    command.timeout_s = 1800
    return command


@pytest.fixture
def device(site: Site, tmp_path: Path) -> Iterator[Edge]:
    made = Edge(site, "porch-camera", tmp_path / "porch-camera")
    made.flash()
    made.start()
    yield made
    made.end()


def python_with(environment: Path, folder: Path) -> Path:
    """Return a Python that has what a template asks for, by pip as its page says."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "-r", str(environment)]
    subprocess.run(command, check=True, timeout=1800)
    return python


def push(skerry: Skerry, version: int) -> None:
    skerry.ok("deployment", "push", "-", stdin=MANIFEST % version)
    skerry.ok("deployment", "show", f"vibration:{version}", "--watch", "--timeout", 300)


def checked(skerry: Skerry, module: str, platform: str) -> str:
    shown = json.loads(skerry.ok("module", "show", module, "--output", "json"))
    return str(shown["images"][platform]["checked"])


def score(site: Site, device: Edge, sample: Path, name: str) -> object:
    """Drop a sample into the device's folder, and return the result that arrives."""
    (device.folder / "inputs" / "windows" / name).write_bytes(sample.read_bytes())
    return eventually(
        lambda: next(
            (i["data"]["result"] for i in site.telemetry() if i["data"]["file"] == name), 0
        ),
        within_s=120,
        why=device.log(),
    )


def test_keras_goes_to_a_device_and_then_without_keras(
    site: Site, skerry: Skerry, device: Edge, tmp_path: Path
) -> None:
    made = site.folder / "keras"
    skerry.ok("module", "init", "--template", "keras")
    python = python_with(made / "environment.txt", tmp_path / "venv")
    make = [str(python), "make_model.py", "model", "--windows", "windows.npz"]
    subprocess.run(make, cwd=made, check=True, timeout=300)
    skerry.ok("model", "register", "-p", made / "model", "-n", "vibration")
    skerry.ok("module", "build", made)
    push(skerry, 1)
    assert score(site, device, made / "samples" / "pump.json", "a.json") == {
        "kind": "worn",
        "probability": pytest.approx(0.95, abs=0.05),
    }

    golden = ("--golden", made / "windows.npz")
    convert = ("model", "convert", "vibration:1", "--to", "litert", *golden)
    said = skerry.ok(*convert, "--cache", site.folder / "converters")
    assert "classification  100.00%  256" in said
    for file in (made / "variants" / "litert").iterdir():
        file.replace(made / file.name)
    skerry.ok("module", "build", made, "-m", "vibration:2")
    push(skerry, 2)
    assert score(site, device, made / "samples" / "pump.json", "b.json") == {
        "kind": "worn",
        "probability": pytest.approx(0.95, abs=0.05),
    }


def test_pytorch_is_built_for_64_bit_arm_and_becomes_onnx(
    site: Site, skerry: Skerry, tmp_path: Path
) -> None:
    need("qemu-aarch64-static", "qemu-user-static")
    made = site.folder / "pytorch"
    skerry.ok("module", "init", "--template", "pytorch")
    python = python_with(made / "environment.txt", tmp_path / "venv")
    subprocess.run([python, "make_model.py", "model"], cwd=made, check=True, timeout=300)
    skerry.ok("model", "register", "-p", made / "model", "-n", "forecast")
    assert "code on load" not in skerry.ok("model", "show", "forecast:1")
    skerry.ok("module", "build", made)
    assert checked(skerry, "forecast:1", "linux/arm64") == "yes"
    size = json.loads(skerry.ok("module", "show", "forecast:1", "--output", "json"))
    assert size["images"]["linux/arm64"]["size"] < 300 * 1024**2  # with CUDA it is ten times that

    subprocess.run(
        [python, "make_model.py", "program", "--program"], cwd=made, check=True, timeout=300
    )
    skerry.ok("model", "register", "-p", made / "program", "-n", "forecast-program")
    convert = ("model", "convert", "forecast-program:1", "--to", "onnx", "--trust")
    said = skerry.ok(*convert, "--cache", site.folder / "converters")
    assert "100.00%" in said
