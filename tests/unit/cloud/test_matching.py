"""How a file came from another: always right, and small where it can be."""

import io
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_cloud.deltas.matching import match
from skerry_contract.delta import DeltaWriter, apply, xor
from support.images import noise

TEXT = b"".join(b"line %d of a program that people changed\n" % n for n in range(4000))


def delta(old: bytes, new: bytes) -> bytes:
    """Return the delta, after looking that it makes the new file."""
    writer, place = DeltaWriter(len(new)), 0
    for one in match(old, new):
        data = new[place : place + one.length]
        if one.kind == "xor":
            data = xor(old[one.old : one.old + one.length], data)
        writer.add(one, b"" if one.kind == "copy" else data)
        place += one.length
    out, made = io.BytesIO(), io.BytesIO()
    writer.finish(out)
    out.seek(0)
    apply(io.BytesIO(old), out, made.write, size=len(new))
    assert made.getvalue() == new
    return out.getvalue()


def weights(form: str, count: int, drift: float) -> tuple[bytes, bytes]:
    """Return weights and what further training made of them; ``form`` is ``struct``'s."""
    chance = random.Random(61)  # noqa: S311 - repeatable, and no secret
    before = [chance.gauss(0, 0.05) for _ in range(count)]
    after = [one + chance.gauss(0, 0.05 * drift) for one in before]
    return struct.pack(f"<{count}{form}", *before), struct.pack(f"<{count}{form}", *after)


@given(st.binary(max_size=3000), st.data())
@settings(deadline=None)
def test_whatever_was_done_to_a_file_the_delta_makes_it(old: bytes, data: st.DataObject) -> None:
    new = old
    for _ in range(data.draw(st.integers(0, 4))):
        at, until = sorted(data.draw(st.tuples(*[st.integers(0, len(new))] * 2)))
        new = new[:at] + data.draw(st.binary(max_size=200)) + new[until:]
    delta(old, new)


@given(st.binary(max_size=500), st.binary(max_size=500), st.integers(1, 40))
@settings(deadline=None)
def test_repetition_does_not_lead_it_astray(one: bytes, other: bytes, times: int) -> None:
    delta(one * times, other + one * times + other)


@pytest.mark.parametrize(
    ("old", "new", "most"),
    [
        pytest.param(TEXT, TEXT, 150, id="nothing changed"),
        pytest.param(TEXT, TEXT.replace(b"line 2000 ", b"row 2000 "), 250, id="one line"),
        pytest.param(TEXT, TEXT[:50_000] + b"new" + TEXT[50_000:], 250, id="something between"),
        pytest.param(TEXT, TEXT[:50_000] + TEXT[60_000:], 250, id="something left out"),
        pytest.param(TEXT[100_000:] + TEXT[:100_000], TEXT, 250, id="parts changed places"),
        pytest.param(b"", noise(5000, seed=1), 5300, id="from nothing"),
        pytest.param(noise(5000, seed=1), b"", 150, id="to nothing"),
        pytest.param(noise(50_000, seed=1), noise(50_000, seed=2), 50_400, id="unrelated"),
    ],
)
def test_a_delta_is_small_where_it_can_be(old: bytes, new: bytes, most: int) -> None:
    assert len(delta(old, new)) < most


@pytest.mark.parametrize(
    ("form", "drift", "share"),
    [
        pytest.param("f", 1e-3, 0.72, id="float32, little training"),
        pytest.param("f", 1e-2, 0.80, id="float32, more training"),
        pytest.param("e", 1e-3, 0.56, id="float16, little training"),
        pytest.param("e", 1e-2, 0.72, id="float16, more training"),
    ],
)
def test_weights_that_were_trained_further_cost_less_than_whole(
    form: str, drift: float, share: float
) -> None:
    old, new = weights(form, 100_000, drift)
    header = b"model 1"  # a file of another length before the same weights, too
    assert len(delta(old, new)) < share * len(new)
    assert len(delta(header + old, b"a " + header + new)) < (share + 0.01) * len(new)


def test_addresses_that_moved_all_over_a_program_cost_little() -> None:
    """What a linker does: the same code, with other numbers in it here and there."""
    code = bytearray(noise(200_000, seed=3))
    moved = bytearray(b"more code" * 7) + code
    for at in range(0, 200_000, 100):
        moved[63 + at] = (moved[63 + at] + 7) % 256
    assert len(delta(bytes(code), bytes(moved))) < 8_000
