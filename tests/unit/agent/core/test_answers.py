"""Heads of HTTP answers, right and wrong."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_agent.core.answers import (
    MOST_RETRY_AFTER_S,
    Challenge,
    challenge_of,
    retry_after_s,
    starts_at,
)

NOW = datetime(2026, 11, 25, 14, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ("bytes 100-999/1000", True),
        ("bytes 100-999/*", True),
        ("bytes 99-999/1000", False),
        ("bytes 100-998/1000", False),
        ("bytes 100-999/1001", False),
        ("bytes */1000", False),
        ("bytes 100-999", False),
        ("items 100-999/1000", False),
        ("", False),
        ("bytes 100-99999999999999999999999999/1000", False),
    ],
)
def test_a_range_is_the_one_that_was_asked_for_or_it_is_none(header: str, good: bool) -> None:  # noqa: FBT001
    assert starts_at(header, 100, 1000) is good


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999999", MOST_RETRY_AFTER_S),
        ("Wed, 25 Nov 2026 14:00:30 GMT", 30.0),
        ("Wed, 25 Nov 2026 13:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2099 13:00:00 GMT", MOST_RETRY_AFTER_S),
        ("soon", 0.0),
        ("-5", 0.0),
        ("", 0.0),
        ("Wed, 25 Nov 2026 14:00:30", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(header: str, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (
            'Bearer realm="https://auth.docker.io/token",service="docker",scope="repository:a/b:pull"',
            Challenge(
                "bearer",
                {
                    "realm": "https://auth.docker.io/token",
                    "service": "docker",
                    "scope": "repository:a/b:pull",
                },
            ),
        ),
        ('Basic realm="tests"', Challenge("basic", {"realm": "tests"})),
        ("bearer realm=x , scope=y", Challenge("bearer", {"realm": "x", "scope": "y"})),
        (r'Bearer realm="a\"b"', Challenge("bearer", {"realm": 'a"b'})),
        ('Negotiate, Basic realm="tests"', Challenge("basic", {"realm": "tests"})),
        ("Digest nonce=1", None),
        ("", None),
    ],
)
def test_a_challenge_is_read(header: str, challenge: Challenge | None) -> None:
    assert challenge_of(header) == challenge


@given(st.text(max_size=300))
def test_nothing_that_a_server_says_breaks_the_reading(header: str) -> None:
    challenge_of("Bearer " + header)
    retry_after_s(header, NOW)
    starts_at(header, 0, 10)
