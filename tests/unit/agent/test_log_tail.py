"""What is new at the end of a log."""

import pytest

from skerry_agent.core.log_tail import News, news

CASES = {
    "the first look": ("", "a\nb\n", ("a", "b"), False),
    "nothing new": ("a\nb\n", "a\nb\n", (), False),
    "two more lines": ("a\nb\n", "a\nb\nc\nd\n", ("c", "d"), False),
    "the front has gone": ("a\nb\nc\n", "b\nc\nd\n", ("d",), False),
    "the front has gone in the middle of a line": (
        "alpha\nb\nc\n",
        "pha\nb\nc\nd\n",
        ("d",),
        False,
    ),
    "the middle of a line that was not seen": ("a\nb\n", "xx\nb\nc\n", ("c",), False),
    "all of it has gone": ("a\nb\n", "x\ny\n", ("x", "y"), True),
    "the same line again and again": ("ok\nok\n", "ok\nok\nok\n", ("ok",), False),
    "half a line waits": ("a\n", "a\nb\nhal", ("b",), False),
    "an empty log": ("", "", (), False),
    "a log that was emptied": ("a\n", "", (), False),
}


@pytest.mark.parametrize("case", CASES)
def test_news_are(case: str) -> None:
    seen, now, lines, gap = CASES[case]
    found = news(seen, now)
    assert (found.lines, found.gap) == (lines, gap)


def test_look_by_look_every_line_comes_once() -> None:
    lines = [f"line {n}\n" for n in range(200)]
    window, seen, got = 300, "", list[str]()
    for end in range(0, 200, 7):
        found: News = news(seen, "".join(lines[:end])[-window:])
        seen = found.seen
        got += found.lines
    assert got == [line.strip() for line in lines[:196]]
