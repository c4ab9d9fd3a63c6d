"""Deltas: what is written is what is read, and nothing that is damaged passes for another error."""

import io
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry_contract.delta import DeltaWriter, Instruction, Kind, apply, xor
from skerry_contract.errors import ContractError
from support.images import noise

OLD = noise(100_000, seed=51)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["new", "copy", "xor"]), st.integers(1, 70_000), st.integers(0, 29_999)
    ),
    max_size=12,
)


def written(steps: list[tuple[Kind, int, int]]) -> tuple[bytes, bytes]:
    """Return a delta of these steps, and what it makes of ``OLD``."""
    made = []
    size = sum(length for _, length, _ in steps)
    writer = DeltaWriter(size)
    for number, (kind, length, old) in enumerate(steps):
        before = OLD[old : old + length]
        data = noise(length, seed=number) if kind != "copy" else b""
        writer.add(Instruction(kind, length, 0 if kind == "new" else old), data)
        made.append({"new": data, "copy": before, "xor": xor(before, data or before)}[kind])
    out = io.BytesIO()
    assert writer.finish(out) == len(out.getvalue())
    return out.getvalue(), b"".join(made)


def applied(delta: bytes, size: int, old: bytes = OLD) -> bytes:
    out = io.BytesIO()
    apply(io.BytesIO(old), io.BytesIO(delta), out.write, size=size)
    return out.getvalue()


@given(STEPS)
@settings(deadline=None)
def test_what_a_delta_says_is_what_comes_out(steps: list[tuple[Kind, int, int]]) -> None:
    delta, made = written(steps)
    assert applied(delta, len(made)) == made


GOOD, MADE = written([("copy", 50_000, 3), ("xor", 40_000, 100), ("new", 30_000, 0)])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_byte_that_changed_makes_other_bytes_or_an_error_that_is_ours(at: int, by: int) -> None:
    wrong = bytearray(GOOD)
    wrong[at] ^= by
    try:
        out = applied(bytes(wrong), len(MADE))
    except ContractError:
        return
    assert len(out) == len(MADE)


@pytest.mark.parametrize("place", range(16, 40))
def test_a_stream_that_is_longer_than_any_can_be_is_no_crash(place: int) -> None:
    wrong = bytearray(GOOD)
    wrong[place] = 0xFF
    with suppress(ContractError):
        applied(bytes(wrong), len(MADE))


@pytest.mark.parametrize("count", [0, 5, 14, 15, 30, 47, 60, len(GOOD) // 2, len(GOOD) - 99])
def test_what_is_cut_off_is_refused(count: int) -> None:
    with pytest.raises(ContractError, match="delta"):
        applied(GOOD[:count], len(MADE))


@pytest.mark.parametrize("size", [0, 1, len(MADE) - 1, len(MADE) + 1])
def test_another_size_than_was_promised_is_refused(size: int) -> None:
    with pytest.raises(ContractError, match="are wanted"):
        applied(GOOD, size)


def test_a_layer_that_is_too_short_is_another_layer() -> None:
    with pytest.raises(ContractError, match="another layer"):
        applied(GOOD, len(MADE), OLD[:1000])


@pytest.mark.parametrize("told", [100, 2**50])
def test_no_instruction_makes_more_than_was_promised(told: int) -> None:
    writer = DeltaWriter(100)
    writer.add(Instruction("copy", told, 0))
    writer.add(Instruction("copy", told, 0))
    out = io.BytesIO()
    writer.finish(out)
    with pytest.raises(ContractError, match=r"more than 100|cannot be"):
        applied(out.getvalue(), 100)


def test_little_memory_is_used_whatever_is_made() -> None:
    """Zeros are the best that LZMA can be given: a few bytes become many."""
    size = 64 * 1024 * 1024
    writer = DeltaWriter(size)
    for _ in range(64):
        writer.add(Instruction("new", 1024 * 1024), bytes(1024 * 1024))
    out = io.BytesIO()
    writer.finish(out)
    assert len(out.getvalue()) < 20_000
    tracemalloc.start()
    apply(io.BytesIO(), io.BytesIO(out.getvalue()), len, size=size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000  # the three dictionaries, and a piece
