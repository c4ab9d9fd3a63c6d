"""Requests of commands: what is signed, and what a device believes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry_cloud.trust import Director
from skerry_contract.commands import (
    ARGS,
    MAX_REQUEST_BYTES,
    Command,
    CommandType,
    LogsArgs,
    limit_s,
    order,
    read_args,
    verify_request,
)
from skerry_contract.desired import Desired
from skerry_contract.envelope import verify
from skerry_contract.errors import ContractError, SignatureError, SkerryError, WrongDeviceError
from support.cloud_server import check_ed25519

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ASKED = Command(
    "home", "porch", "0123456789abcdef", 7, "logs", NOW, NOW + timedelta(minutes=1), {"seconds": 5}
)
DIRECTOR = Director(Ed25519PrivateKey.generate())


def believe(data: bytes, device: str = "porch", fleet: str = "home") -> Command:
    return verify_request(
        data, trust=DIRECTOR.trust, fleet=fleet, device=device, check=check_ed25519
    )


def test_what_the_director_signed_is_believed_as_it_is() -> None:
    assert believe(DIRECTOR.sign_command(ASKED)) == ASKED


@pytest.mark.parametrize(
    "change",
    [
        {"id": "f" * 16},
        {"number": 8},
        {"type": "reboot"},
        {"deadline": "2027-01-01T00:00:00Z"},
        {"args": {"seconds": 3600}},
        {"device": "porch2"},
        {"fleet": "away"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nothing_that_is_signed_can_be_changed(change: dict[str, Any]) -> None:
    request = json.loads(DIRECTOR.sign_command(ASKED))
    request["command"]["signed"].update(change)
    with pytest.raises(SignatureError):
        believe(json.dumps(request).encode())


def test_a_command_for_one_device_is_worthless_to_another() -> None:
    for device, fleet in (("porch2", "home"), ("porch", "away")):
        with pytest.raises(WrongDeviceError):
            believe(DIRECTOR.sign_command(ASKED), device, fleet)


def test_another_key_signs_nothing() -> None:
    stranger = Director(Ed25519PrivateKey.generate())
    with pytest.raises(SignatureError):
        believe(stranger.sign_command(ASKED))


def test_a_command_is_no_desired_document_and_the_other_way_round() -> None:
    request = json.loads(DIRECTOR.sign_command(ASKED))
    envelope = {"schema": 1, "director": {"targets": request["command"]}}
    with pytest.raises(ContractError):
        verify(
            json.dumps(envelope).encode(),
            trust=DIRECTOR.trust,
            fleet="home",
            device="porch",
            check=check_ed25519,
        )
    desired = DIRECTOR.sign(Desired("home", "porch", 1, NOW, NOW, "", {}))
    document = {"schema": 1, "command": json.loads(desired)["director"]["targets"]}
    with pytest.raises(ContractError):
        believe(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"x" * (MAX_REQUEST_BYTES + 1)])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(SkerryError):
        believe(data)


def test_what_does_not_fit_is_not_signed() -> None:
    with pytest.raises(ContractError, match="at most"):
        DIRECTOR.sign_command(replace(ASKED, args={"text": "x" * MAX_REQUEST_BYTES}))


def test_every_type_has_its_arguments_and_a_limit() -> None:
    assert set(ARGS) == set(get_args(CommandType))
    for type_, args in ARGS.items():
        given = {"level": "info"} if type_ == "set-log-level" else {"module": "cam"}
        known = given if set(given) & set(args.__dataclass_fields__) else {}
        assert limit_s(type_, read_args(type_, known)) > 0
    assert limit_s("logs", LogsArgs(seconds=100)) > 100


def test_what_comes_later_is_greater() -> None:
    row = [
        order("accepted", 0),
        order("executing", 0),
        order("executing", 1),
        order("successful", 0),
    ]
    assert all(one < other for one, other in pairwise(row))
    assert order("failed", 5) == order("rejected", 0)
