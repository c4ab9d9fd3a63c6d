"""What goes when room is needed: never what is kept, the oldest first, and no more than needed."""

from hypothesis import given
from hypothesis import strategies as st

from skerry_agent.core.room import Bounds, Held, plan_room

NAMES = [f"{n:02x}" for n in range(12)]
FILES = st.lists(
    st.builds(
        Held,
        st.sampled_from(NAMES),
        st.integers(0, 50),
        st.floats(0, 100),
        st.booleans(),
    ),
    max_size=16,
    unique_by=lambda one: (one.name, one.partial),
)


@given(
    FILES,
    st.sets(st.sampled_from(NAMES)),
    st.integers(0, 200),
    st.builds(Bounds, st.integers(0, 400), st.integers(0, 400), st.integers(0, 100)),
)
def test_room_is_made_by_the_rules(
    held: list[Held], keep: set[str], needed: int, bounds: Bounds
) -> None:
    room = plan_room(held, keep, needed, bounds)
    freed = sum(one.size for one in room.remove)
    total = sum(one.size for one in held)
    rest = [one for one in held if one.name not in keep]

    assert {one.name for one in room.remove}.isdisjoint(keep)
    assert room.held == total
    assert room.removable == sum(one.size for one in rest)

    def fits(gone: int) -> bool:
        under_cap = total - gone + needed <= bounds.cap
        return under_cap and bounds.free + gone - needed >= bounds.floor

    assert room.fits == fits(room.removable) == (fits(freed) if room.fits else False)
    if room.remove:
        # Without the last of them it would not have fitted, so none went for nothing.
        assert not fits(freed - room.remove[-1].size)
        left = [one.used for one in rest if one not in room.remove and one.size]
        assert all(one.used <= min(left, default=100.0) for one in room.remove)
    if not room.fits and needed:
        assert room.remove == ()


def test_what_is_over_goes_even_if_that_is_not_enough_when_nothing_is_to_come() -> None:
    old = Held("aa", 10, 1.0)
    room = plan_room([old, Held("bb", 90, 2.0)], {"bb"}, 0, Bounds(cap=50, free=1000, floor=0))
    assert room.remove == (old,)
    assert not room.fits
