"""What ``run()`` gets of a request, and which ids come back."""

import pytest

from skerry_scorer.http.wire import Request
from skerry_scorer.script.arguments import score_input
from skerry_scorer.serving.exchange import request_ids


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("", "ab"),
        ("application/json; charset=utf-8", "ab"),
        ("text/csv", "ab"),
        ("application/octet-stream", b"ab"),
        ("IMAGE/PNG", b"ab"),
        ("audio/wav", b"ab"),
    ],
)
def test_the_content_type_says_whether_a_body_is_text(
    content_type: str, expected: str | bytes
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert score_input(Request("POST", "/score", headers=headers, body=b"ab")) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "{}"),
        ("a=1&b=[1,2]&c=x&d=null&e=", '{"a": 1, "b": [1, 2], "c": "x", "d": null, "e": ""}'),
        ("foo=1&x=y&foo=%22z%22", '{"foo": [1, "z"], "x": "y"}'),
    ],
)
def test_a_query_is_an_object_of_json_values(query: str, expected: str) -> None:
    assert score_input(Request("GET", "/score", query)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "r"}, {"x-request-id": "r", "x-ms-request-id": "r"}),
        (
            {"x-request-id": "r", "x-ms-request-id": "m"},
            {"x-request-id": "r", "x-ms-request-id": "m", "x-ms-client-request-id": "m"},
        ),
        (
            {"x-request-id": "r", "x-ms-client-request-id": "c"},
            {"x-request-id": "r", "x-ms-request-id": "c", "x-ms-client-request-id": "c"},
        ),
    ],
)
def test_ids_stand_in_for_each_other(headers: dict[str, str], expected: dict[str, str]) -> None:
    assert request_ids(headers) == (expected, "")


def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    one, other = request_ids({})[0], request_ids({})[0]
    assert one["x-request-id"] != other["x-request-id"]


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"x-request-id": "x" * 101}, "x-request-id"),
        ({"x-ms-request-id": "x" * 101}, "x-ms-request-id"),
        ({"x-ms-client-request-id": "x" * 101, "x-ms-request-id": "m"}, "x-ms-client-request-id"),
    ],
)
def test_an_id_that_is_too_long_is_named(headers: dict[str, str], named: str) -> None:
    assert request_ids(headers) == ({}, named)
