"""What executes code on load is labelled, however it is wrapped; and nothing is executed here."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.looking import look, only


def reduce_to(call: Any, *arguments: Any, protocol: int = 2) -> bytes:
    """Return a pickle that calls ``call`` when it is loaded."""

    class Trap:
        def __reduce__(self) -> Any:
            return call, arguments

    return pickle.dumps(Trap(), protocol)


def text_trap(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


def traps(canary: Path) -> dict[str, bytes]:
    touch = f"touch {canary}"
    short = bytes([len(touch)]) + touch.encode()
    return {
        **{f"os.system, protocol {n}": reduce_to(os.system, touch, protocol=n) for n in range(6)},
        "exec": reduce_to(exec, f"open({str(canary)!r}, 'w')"),
        "INST": f"(S'{touch}'\nios\nsystem\n.".encode(),
        "OBJ": b"\x80\x02(cos\nsystem\nU" + short + b"o.",
        "without a mark": b"(" + f"S'{touch}'\ncos\nsystem\n".encode() + b"tR.",
        "io.open": text_trap("_io", "open", f"{canary}"),
        "numpy runstring": b"\x80\x04\x8c\x05numpy\x8c\x1etesting._private.utils.runstring\x93U"
        + short
        + b"}\x86R.",
        "pkgutil.resolve_name": text_trap("pkgutil", "resolve_name", "os:system"),
        "a broken tail": text_trap("os", "system", touch)[:-1] + b"\xff\xff\xff",
        "a length of a terabyte": reduce_to(os.system, touch, protocol=4)[:-1]
        + b"\x8e"
        + struct.pack("<Q", 1 << 40),
        "memo": b"\x80\x02cos\nsystem\nq\x00h\x00U" + short + b"\x85R.",
    }


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def tarred(name: str, data: bytes, mode: Any = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def lz4_frame(data: bytes) -> bytes:
    """Return an LZ4 frame with one block of literals only."""
    block = bytes([0xF0]) + (len(data) - 15).to_bytes(1, "little") + data
    return b"\x04\x22\x4d\x18\x60\x40\x00" + struct.pack("<I", len(block)) + block + bytes(4)


WRAPPINGS: dict[str, Callable[[bytes], dict[str, bytes]]] = {
    "under another extension": lambda trap: {"weights.tflite": trap},
    "in a zip": lambda trap: {"m.zip": zipped("inner/labels.txt", trap)},
    "in a zip in a zip": lambda trap: {"m": zipped("a.zip", zipped("b", trap))},
    "in a tar": lambda trap: {"m.tar": tarred("labels.txt", trap)},
    "in a gzipped tar": lambda trap: {"m.tgz": tarred("labels.txt", trap, "w:gz")},
    "in an xz tar in a zip": lambda trap: {"m": zipped("x", tarred("y", trap, "w:xz"))},
    "by zlib": lambda trap: {"m.onnx": zlib.compress(trap)},
    "by gzip": lambda trap: {"m.onnx": gzip.compress(trap)},
    "by bzip2": lambda trap: {"m.onnx": bz2.compress(trap)},
    "by xz": lambda trap: {"m.onnx": lzma.compress(trap)},
    "by lzma": lambda trap: {"m.onnx": lzma.compress(trap, lzma.FORMAT_ALONE)},
    "by lz4": lambda trap: {"m.joblib": lz4_frame(trap)},
    "in front of a zip": lambda trap: {"m.bin": trap + zipped("a.txt", b"text")},
    "behind a picture, in a zip": lambda trap: {"m.png": b"\x89PNG\r\n" + zipped("a", trap)},
    "as PyTorch's weights": lambda trap: {"m.pt": zipped("archive/data.pkl", trap)},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_trap_is_labelled_in_every_wrapping_and_stays_shut(
    wrapping: str, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    for name, trap in traps(canary).items():
        labelled = [one for one in look(WRAPPINGS[wrapping](trap)) if one.executes_code]
        assert labelled, name
    assert not canary.exists()


def test_the_traps_are_real(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(traps(canary)["os.system, protocol 2"])  # noqa: S301 (this is the test's own)
    assert canary.exists()


def test_imports_are_told_as_a_hint() -> None:
    found = only(pickle.dumps(Path("x"), 4))
    assert found.format == "pickle"
    assert "pathlib" in found.executes_code


def test_objects_in_arrays_are_a_pickle_and_numbers_are_not() -> None:
    def npy(descr: str) -> bytes:
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (2, 3), }}".encode()
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(24)

    assert not only(npy("'<f4'")).executes_code
    assert only(npy("'|O'")).executes_code
    assert only(npy("[('a', '<f4'), ('b', '|O')]")).executes_code
    found = look({"m.npz": zipped("arr.npy", npy("'|O'"))})
    assert [one.format for one in found] == ["npz", "numpy"]
    assert found[1].executes_code
    assert found[1].path == "m.npz!/arr.npy"


def test_torchscript_is_a_program() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("net/data.pkl", "net/constants.pkl", "net/code/__torch__.py"):
            archive.writestr(name, b"\x80\x02}.")
    found = only(out.getvalue())
    assert (found.format, bool(found.executes_code)) == ("torchscript", True)


@pytest.mark.parametrize("layer", ["Lambda", "Dense"])
def test_only_lambda_layers_of_keras_execute_code(layer: str) -> None:
    inputs = {"name": "x", "dtype": "float32", "batch_shape": [None, 4]}
    layers = [{"class_name": "InputLayer", "config": inputs}, {"class_name": layer, "config": {}}]
    config = json.dumps({"class_name": "Functional", "config": {"layers": layers}}).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")
    hdf5 = b"\x89HDF\r\n\x1a\n" + bytes(2000) + b"model_config" + config + bytes(3000)
    for data, form in ((out.getvalue(), "keras"), (hdf5, "keras-h5")):
        found = only(data)
        assert (found.format, bool(found.executes_code)) == (form, layer == "Lambda")
        assert [(one.name, one.dtype, one.shape) for one in found.inputs] == [
            ("x", "float32", (-1, 4))
        ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"cat\ndog\nperson\n",
        b"I am a text.\n",
        b"images\nlabels\n",
        b"(a, b)\n(c, d)\n",
        b'{"labels": ["a", "b"]}',
        b"label,score\ncat,0.5\n",
        b"import os\nprint('hello')\n",
        b"x^2 + y\n",
    ],
)
def test_plain_files_are_nothing(data: bytes) -> None:
    assert look({"a.txt": data}) == ()
