"""How often a command looks at a build that it waits for."""

from itertools import islice, pairwise

from skerry.commands.module import POLL_S, poll_pauses_s


def test_a_short_build_is_seen_soon_and_a_long_one_is_not_asked_after_all_the_time() -> None:
    pauses = list(islice(poll_pauses_s(), 20))
    assert pauses[0] <= 0.1
    assert all(before <= after for before, after in pairwise(pauses))
    assert pauses[-1] == POLL_S
