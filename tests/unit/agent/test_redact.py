"""Secrets do not leave the device with what explains its trouble."""

import pytest

from skerry_agent.core.redact import REMOVED, redact_text, redact_value, secrets_in

SECRET = "s3cr3t-value"
TEXTS = {
    "a bearer token": f"Authorization: Bearer {SECRET}",
    "basic credentials": "Authorization: Basic c2VjcmV0OnBhc3M=",
    "a password in a URL": f"mqtts://porch:{SECRET}@broker:8883/x",
    "a setting": f"DB_PASSWORD={SECRET} next",
    "a setting in JSON": f'{{"api_key": "{SECRET}", "n": 1}}',
    "a setting in YAML": f"client_secret: {SECRET}",
    "a private key": f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----",
    "half a private key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    "a web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "a key of a cloud": "AKIAIOSFODNN7EXAMPLE",
}


@pytest.mark.parametrize("case", TEXTS)
def test_what_looks_like_a_secret_goes(case: str) -> None:
    found = redact_text(TEXTS[case])
    assert REMOVED in found
    for part in (SECRET, "c2VjcmV0", "eyJzdWIi", "IOSFODNN"):
        assert part not in found


def test_what_is_known_to_be_secret_goes_wherever_it_stands() -> None:
    assert redact_text(f"x{SECRET}y {SECRET}", [SECRET]) == f"x{REMOVED}y {REMOVED}"
    # The longer one first, or its end would stay.
    assert redact_text("abcdef", ["abcd", "abcdef"]) == REMOVED
    assert redact_text("an ordinary a", ["a"]) == "an ordinary a"


@pytest.mark.parametrize(
    "text", ["tokens scored: 12 per s", "connected to broker:1883", "see http://host:7700/v1/info"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_every_variable_of_a_module_goes_and_its_name_stays() -> None:
    document = {"run": {"env": {"MODE": "night"}, "user": "x"}, "broker_password": "p", "n": [1]}
    assert redact_value(document) == {
        "run": {"env": {"MODE": REMOVED}, "user": "x"},
        "broker_password": REMOVED,
        "n": [1],
    }
    assert secrets_in(document) == {"night", "p"}
