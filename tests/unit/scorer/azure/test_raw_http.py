"""Requests and responses as entry scripts for Azure's server see them."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_scorer.azure import finder
from skerry_scorer.azure.finder import ShimFinder
from skerry_scorer.azure.raw_http import AMLRequest, AMLResponse
from skerry_scorer.http.cors import cors_headers
from skerry_scorer.http.multipart import MAX_PARTS, Upload, read_multipart
from skerry_scorer.http.wire import Request

CONTENT_TYPE = "multipart/form-data; boundary=xyz"


def form(*parts: tuple[str, bytes]) -> bytes:
    pieces = (b"--xyz\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return b"".join(pieces) + b"--xyz--\r\n"


def test_a_form_gives_text_and_files() -> None:
    body = form(
        ('Content-Disposition: form-data; name="note"', "é".encode()),
        ('content-disposition: form-data; name=f; filename="a;b.bin"\r\nContent-Type: a/b', b"\0"),
    )
    (note, text), (name, upload) = read_multipart(body, CONTENT_TYPE)
    assert (note, text) == ("note", "é")
    assert isinstance(upload, Upload)
    assert (name, upload.filename, upload.content_type, upload.read()) == (
        "f", "a;b.bin", "a/b", b"\0",
    )  # fmt: skip


@given(st.lists(st.binary(max_size=50).filter(lambda data: b"--xyz" not in data), max_size=4))
def test_bytes_of_files_come_as_they_were_sent(files: list[bytes]) -> None:
    head = 'Content-Disposition: form-data; name="f"; filename="f"'
    found = read_multipart(form(*((head, data) for data in files)), CONTENT_TYPE)
    assert [upload.getvalue() for _, upload in found if isinstance(upload, Upload)] == files


@given(st.binary(max_size=200))
def test_a_form_that_is_none_is_a_value_error_or_nothing(body: bytes) -> None:
    with suppress(ValueError):
        list(read_multipart(b"--xyz" + body, CONTENT_TYPE))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data"),
        (form(("Content-Type: a/b", b"")), CONTENT_TYPE),
        (b"--xyz\r\n" * (MAX_PARTS + 1), CONTENT_TYPE),
    ],
)
def test_a_form_that_cannot_be_read_says_so(body: bytes, content_type: str) -> None:
    with pytest.raises(ValueError, match=r"boundary|no name|more than"):
        list(read_multipart(body, content_type))


def test_an_upload_can_be_saved_as_a_file_or_into_one(tmp_path: Path) -> None:
    upload = Upload("f", "f", "", b"data")
    upload.save(tmp_path / "one")
    with (tmp_path / "other").open("wb") as file:
        upload.save(file)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes() == b"data"


def request(**headers: str) -> AMLRequest:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return AMLRequest(Request("POST", "/score", "a=1&a=2&b=", fields, b'{"x": 1}'))


def test_a_request_tells_what_flasks_does() -> None:
    asked = request(host="h:1", content_type="application/json; charset=utf-8", cookie='a=b; c="d"')
    assert (asked.full_path, asked.url) == ("/score?a=1&a=2&b=", "http://h:1/score?a=1&a=2&b=")
    assert (asked.mimetype, asked.is_json, asked.json) == ("application/json", True, {"x": 1})
    assert (asked.args["a"], asked.args.getlist("a"), asked.args.get("z")) == (
        "1",
        ["1", "2"],
        None,
    )
    assert (asked.headers["content-TYPE"], "Host" in asked.headers) == (asked.content_type, True)
    assert asked.cookies == {"a": "b", "c": "d"}
    assert asked.get_data(as_text=True) == '{"x": 1}'
    assert asked.stream.read(2) == b'{"'
    assert (asked.values["b"], dict(asked.form), dict(asked.files)) == ("", {}, {})


def test_json_that_is_not_said_to_be_json_has_to_be_forced() -> None:
    asked = request(content_type="text/plain")
    with pytest.raises(ValueError, match="content type"):
        _ = asked.json
    assert asked.get_json(silent=True) is None
    assert asked.get_json(force=True) == {"x": 1}


def test_a_form_of_text_is_no_data() -> None:
    asked = AMLRequest(
        Request(
            "POST",
            "/score",
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=b"a=1&a=%C3%A9",
        )
    )
    assert (asked.form.getlist("a"), asked.data, asked.get_data()) == (
        ["1", "é"], b"", b"a=1&a=%C3%A9",
    )  # fmt: skip


def test_a_response_takes_text_bytes_parts_and_json() -> None:
    assert AMLResponse("é", 200).get_data() == "é".encode()
    assert AMLResponse([b"a", "b"], 200).data == b"ab"
    assert AMLResponse({"a": 1}, 200, json_str=True).get_data(as_text=True) == '{"a": 1}'
    assert AMLResponse(None, 200).data == b"{}"
    assert AMLResponse("a", 200).content_type == "text/html; charset=utf-8"


def test_header_fields_of_a_response_can_be_changed_and_stand_twice() -> None:
    answer = AMLResponse("a", 200, {"X-A": "1, 2", "Content-Type": "a/b"}, run_function_failed=True)
    assert answer.headers.getlist("x-a") == ["1", "2"]
    answer.headers["x-A"] = "3"
    answer.headers.add("X-B", 4)
    answer.content_type = "c/d"
    assert answer.headers.items() == [
        ("x-ms-run-function-failed", "True"), ("x-A", "3"), ("X-B", "4"), ("Content-Type", "c/d"),
    ]  # fmt: skip


@pytest.fixture
def import_state() -> Iterator[None]:
    before, finders = set(sys.modules), list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.usefixtures("import_state")
def test_every_shim_can_be_imported_once_they_are_installed() -> None:
    finder.install()
    finder.install()
    assert sum(isinstance(found, ShimFinder) for found in sys.meta_path) == 1
    for name, ours in finder.MODULES.items():
        module = importlib.import_module(name)
        for public in importlib.import_module(ours).__all__ if ours else ():
            assert hasattr(module, public)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("azureml.nothing")


@pytest.mark.parametrize(
    ("origins", "headers", "allowed"),
    [
        ([], {"origin": "http://a"}, None),
        (["http://a"], {}, None),
        (["http://a"], {"origin": "http://a.evil"}, None),
        (["http://b", "http://a"], {"origin": "http://a"}, "http://a"),
        (["*"], {"origin": "http://a"}, "http://a"),
    ],
)
def test_an_origin_is_allowed_by_name(
    origins: list[str], headers: dict[str, str], allowed: str | None
) -> None:
    found = dict(cors_headers(origins, headers, "POST"))
    assert found.get("Access-Control-Allow-Origin") == allowed
