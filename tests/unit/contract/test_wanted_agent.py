"""Which agent a device should run, as the signed document says it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skerry_contract import shape
from skerry_contract.desired import AgentSpec, Desired, read_signed, write_signed
from skerry_contract.errors import ContractError
from skerry_contract.names import Digest

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAIN = Desired("home", "porch-camera", 7, NOW, NOW + timedelta(days=30), "porch:2", {})
AGENT = AgentSpec("skerry-agent:3", Digest(f"sha256:{'ab' * 32}"), 512)
WITH = replace(PLAIN, agent=AGENT)


@pytest.mark.parametrize("wanted", [PLAIN, WITH])
def test_what_is_written_is_what_is_read(wanted: Desired) -> None:
    assert read_signed(shape.load(shape.dump(write_signed(wanted)), max_bytes=10_000)) == wanted


def test_a_document_that_names_no_agent_is_what_it_was_before_there_were_any() -> None:
    assert "x_agent" not in write_signed(PLAIN)


@pytest.mark.parametrize(
    "change",
    [
        {"image": "no reference"},
        {"image": 7},
        {"length": 0},
        {"length": 2**60},
        {"hashes": {"sha256": "../../etc"}},
        {"hashes": {}},
    ],
)
def test_a_wrong_agent_is_refused_with_its_place(change: dict[str, Any]) -> None:
    signed = write_signed(WITH)
    signed["x_agent"] |= change
    with pytest.raises(ContractError, match="x_agent"):
        read_signed(signed)
