"""No reader of a format does anything but find, or refuse on purpose, whatever it is given."""

import io
import json
import struct
import tracemalloc
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_contract.errors import ModelError
from support.looking import look, only


def message(number: int, *parts: bytes) -> bytes:
    """Return a field of Protocol Buffers that holds ``parts``."""
    body = b"".join(parts)
    length, size = b"", len(body)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    key = number << 3 | 2
    head = bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
    return head + length + bytes([size]) + body


def safetensors(header: str, room: int = 8) -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + bytes(room)


def tensor(begin: int, end: int, dtype: str = "U8") -> str:
    return json.dumps({"dtype": dtype, "shape": [end - begin], "data_offsets": [begin, end]})


def external(location: str) -> bytes:
    pair = message(13, message(1, b"location"), message(2, location.encode()))
    return b"\x08\x08" + message(7, message(5, message(8, b"w"), pair))


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(24)


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def saved_model(operation: str) -> bytes:
    entry = message(1, b"x"), message(2, b"\x10\x01", message(3, message(2, b"\x08\x04")))
    signature = message(5, message(1, b"serve"), message(2, message(1, *entry)))
    graph = message(2, message(1, message(2, operation.encode())))
    return b"\x08\x01" + message(2, message(1, message(5, b"2.16.1")), graph, signature)


ARRAY = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 5, 7)
GOOD = {
    "safetensors": safetensors(f'{{"a": {tensor(0, 3)}, "b": {tensor(3, 8)}}}'),
    "onnx": external("weights.bin"),
    "saved-model": saved_model("MatMul"),
    "numpy": npy(ARRAY),
    "gguf": GGUF,
    "npz": zipped({"a.npy": npy(ARRAY)}),
    "tflite": struct.pack("<I4sHHiiI", 16, b"TFL3", 8, 8, 4, 8, 3) + bytes(64),
    "keras": zipped({"config.json": b'{"class_name": "Functional"}', "metadata.json": b"{}"}),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
}


@settings(max_examples=60)
@given(data=st.binary(max_size=400), start=st.sampled_from([b"", *GOOD.values()]))
def test_random_bytes_break_no_reader(data: bytes, start: bytes) -> None:
    for name in ("m.bin", "MLmodel"):
        with suppress(ModelError):
            look({name: start[:12] + data})


@settings(max_examples=200)
@given(
    start=st.sampled_from(list(GOOD.values())),
    place=st.integers(0, 400),
    new=st.sampled_from([b"\xff" * 8, bytes(8), b"\x7f\xff\xff\xff", b"\x80", b"-1", b"["])
    | st.binary(max_size=4),
)
def test_a_changed_header_breaks_no_reader(start: bytes, place: int, new: bytes) -> None:
    place %= len(start)
    with suppress(ModelError):
        look({"m.bin": start[:place] + new + start[place + len(new) :], "weights.bin": b""})


@pytest.mark.parametrize(
    "yaml",
    [
        "flavors: !!int ''",
        "flavors: {a: !!timestamp x}\nrun_id: !!float ''",
        "flavors: &a {b: *a}",
        "[" * 1500,
        "flavors: {a: {code: 1:" + "59:" * 50_000 + "1}}",
    ],
)
def test_an_mlmodel_with_traps_in_its_values_breaks_nothing(yaml: str) -> None:
    look({"MLmodel": yaml.encode()})


def test_mappings_that_are_merged_over_and_over_do_not_grow() -> None:
    levels = "".join(f"k{n}: &k{n} {{<<: [*k{n - 1}, *k{n - 1}]}}\n" for n in range(1, 40))
    assert look({"MLmodel": f"k0: &k0 {{a: b}}\n{levels}flavors: {{x: *k39}}".encode()}) == ()


def test_an_empty_code_of_a_flavor_is_no_code() -> None:
    flavor = "flavors: {python_function: {code: %s}}"
    assert only({"MLmodel": (flavor % "null").encode()}).executes_code == ""
    assert only({"MLmodel": (flavor % "code").encode()}).executes_code


# --- safetensors ----------------------------------------------------------------------------------


def test_good_tensors_are_told() -> None:
    found = only(GOOD["safetensors"])
    assert (found.format, found.executes_code) == ("safetensors", "")
    assert found.facts == {"tensors": "2", "dtypes": "U8"}


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (struct.pack("<Q", 500) + b"{}" + bytes(8), "claims 500 bytes, of 18"),
        (struct.pack("<Q", 100_000_000) + b"{}" + bytes(8), "claims 100000000 bytes"),
        (safetensors(f'{{"a": {tensor(0, 5)}, "b": {tensor(3, 8)}}}'), "'b' overlaps another"),
        (safetensors(f'{{"a": {tensor(0, 3)}, "b": {tensor(4, 8)}}}'), "'b' leaves a gap"),
        (safetensors(f'{{"a": {tensor(0, 9)}}}'), "end at byte 9 of 8"),
        (safetensors(f'{{"a": {tensor(0, 7)}}}'), "end at byte 7 of 8"),
        (safetensors(f'{{"a": {tensor(0, 4)}, "a": {tensor(4, 8)}}}'), "a key twice"),
        (safetensors(f'{{"a": {tensor(0, 8, "U9")}}}'), "is not described"),
        (safetensors(f'{{"a": {tensor(0, 8, "F32")}}}'), "size of its shape"),
        (safetensors('{"a": ' + "9" * 5000 + "}"), "no JSON"),
        (safetensors("{" + '"a":[' * 9000), "no JSON"),
        (safetensors('{"__metadata__": {"a": [1]}}'), "no object of texts"),
        (
            safetensors(
                json.dumps({"a": {**json.loads(tensor(0, 8)), "shape": [1 << 47] * 10**5}})
            ),
            "size of its shape",
        ),
    ],
)
def test_tensors_that_are_not_where_the_header_says_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(ModelError, match=what):
        look(data)


# --- ONNX, GGUF, SavedModel, NumPy ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("/etc/passwd", "leads out of the model"),
        ("../weights.bin", "leads out of the model"),
        ("a/../../weights.bin", "leads out of the model"),
        ("..\\weights.bin", "leads out of the model"),
        ("", "leads out of the model"),
        ("other.bin", "is no file of this model"),
    ],
)
def test_weights_outside_of_the_model_are_refused(location: str, what: str) -> None:
    with pytest.raises(ModelError, match=what):
        look({"net/m.onnx": external(location), "net/weights.bin": b"w", "weights.bin": b"w"})


def test_weights_beside_the_model_are_fine() -> None:
    found = only({"net/m.onnx": external("weights.bin"), "net/weights.bin": b"w"})
    assert (found.format, found.needs) == ("onnx", ("weights.bin",))


def test_gguf_is_told_by_its_mark() -> None:
    found = only(GGUF)
    assert (found.format, found.facts) == ("gguf", {"version": "3", "tensors": "5"})
    assert look(GGUF[:20]) == ()


def test_a_saved_model_tells_its_inputs_and_what_reaches_out() -> None:
    found = only(GOOD["saved-model"])
    assert (found.format, found.executes_code) == ("saved-model", "")
    assert [(one.name, one.dtype, one.shape) for one in found.inputs] == [
        ("serve:x", "float32", (4,))
    ]
    assert found.facts == {"tensorflow_version": "2.16.1"}
    assert "ReadFile" in only(saved_model("ReadFile")).executes_code


@pytest.mark.parametrize(
    ("descr", "holds_objects"),
    [
        ("'<f4'", False),
        ("[('Old', '<f4'), (('title', 'b'), '|b1', (2,))]", False),
        ("'|O'", True),
        ("'object'", True),
        ("'<i4,O'", True),
        ("'\\x4f'", True),
        ("('|O', (2,))", True),
        ("[('a', [('b', '|O')])]", True),
        ("open", True),
    ],
)
def test_an_array_of_objects_is_a_pickle_however_it_is_spelled(
    descr: str, *, holds_objects: bool
) -> None:
    turned = f"{{'shape': (2, 3), 'fortran_order': False, 'descr': {descr}}}"
    for header in (turned, ARRAY.replace("'<f4'", descr)):
        assert bool(only(npy(header)).executes_code) is holds_objects
        of_archive = look(zipped({"a.npy": npy(header)}))
        assert [one.format for one in of_archive] == ["npz", "numpy"]
        assert bool(of_archive[1].executes_code) is holds_objects


def test_a_header_of_blanks_is_not_searched_over_and_over() -> None:
    assert only(npy("{'descr':" + " " * 60_000)).executes_code


# --- lengths, counts and time -------------------------------------------------------------------


def tar_header(kind: bytes, size: bytes, data: bytes = b"") -> bytes:
    header = bytearray(512)
    header[:1], header[124 : 124 + len(size)], header[156:157] = b"a", size, kind
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


@pytest.mark.parametrize("size", ["\u00b2", "9" * 5000], ids=["no digit", "many digits"])
def test_a_size_in_attributes_that_is_no_number_breaks_nothing(size: str) -> None:
    body = f" size={size}\n".encode()
    length = len(body) + len(str(len(body) + 1))
    record = str(length).encode() + body
    attributes = tar_header(b"x", b"%o" % len(record), record)
    assert any("damaged" in one.executes_code for one in look(attributes + tar_header(b"0", b"0")))


@pytest.mark.parametrize("kind", [b"5", b"0", b"L"])
def test_a_negative_size_does_not_lead_backwards(kind: bytes) -> None:
    assert any("damaged" in one.executes_code for one in look(tar_header(kind, b"-1000")))


def test_a_million_attributes_cost_no_more_than_their_bytes() -> None:
    data = b"3 \n" * 340_000
    look(tar_header(b"x", b"%o" % len(data), data) + tar_header(b"0", b"0"))


def test_a_field_repeated_without_end_takes_no_memory() -> None:
    data = b"\x08\x01" * 300_000
    tracemalloc.start()
    try:
        look(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_keras_configuration_of_the_wrong_kinds_breaks_nothing() -> None:
    layer = {"class_name": "InputLayer", "config": {"dtype": {"config": "text"}}}
    data = zipped({"config.json": json.dumps([layer]).encode(), "metadata.json": b"{}"})
    assert only(data).format == "keras"
