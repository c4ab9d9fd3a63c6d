"""What brings messages: lines of a command, a timer, and the mailbox between them and the host."""

import os
import threading

from hypothesis import given
from hypothesis import strategies as st

from skerry_scorer.inputs.command import _CHUNK_BYTES, lines
from skerry_scorer.inputs.mailbox import MAX_WAITING, Mailbox, Message
from skerry_scorer.inputs.timer import next_due


def read_lines(text: bytes) -> list[bytes]:
    """Return what comes out of a pipe that ``text`` was written to, as fast as it is read."""
    read, write = os.pipe()

    def fill() -> None:
        with os.fdopen(write, "wb") as pipe:
            pipe.write(text)

    threading.Thread(target=fill).start()
    with os.fdopen(read, "rb", buffering=0) as pipe:
        return [line for some in lines(pipe) for line, _ in some]


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"\xff", b"\r"]), max_size=20))
def test_lines_are_what_stands_between_line_ends(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    expected = [line.removesuffix(b"\r") for line in text.split(b"\n")]
    assert read_lines(text) == [line for line in expected if line]


def test_lines_that_begin_in_one_read_and_end_in_another_are_whole() -> None:
    sizes = [1, _CHUNK_BYTES - 1, _CHUNK_BYTES, 3 * _CHUNK_BYTES, 2, 70_000, 0, 5]
    text = b"".join(b"%d" % (i % 10) * size + b"\r\n" for i, size in enumerate(sizes))
    assert [len(line) for line in read_lines(text)] == [size for size in sizes if size]


def test_a_timer_skips_what_it_missed() -> None:
    assert next_due(10.0, 10.0, 5.0) == (15.0, 0)
    assert next_due(10.0, 14.9, 5.0) == (15.0, 0)
    assert next_due(10.0, 27.0, 5.0) == (30.0, 3)


def test_whoever_brings_more_than_there_is_room_for_waits_and_loses_nothing() -> None:
    mailbox = Mailbox(lambda: None)
    names = [str(i) for i in range(5 * MAX_WAITING)]

    def bring() -> None:
        for some in range(0, len(names), 100):
            mailbox.put(*(Message("in", "line", name, b"x") for name in names[some : some + 100]))

    bringing = threading.Thread(target=bring)
    bringing.start()
    found: list[str] = []
    most = 0
    while len(found) < len(names):
        most = max(most, len(mailbox._messages))
        found += [message.name for message in mailbox.take()]
    bringing.join()
    assert found == names
    assert most <= MAX_WAITING + 100


def test_a_mailbox_that_is_closed_lets_go_of_whoever_waits() -> None:
    mailbox = Mailbox(lambda: None)
    some = [Message("in", "line", "1", b"x")] * MAX_WAITING
    assert mailbox.put(*some)
    put: list[bool] = []
    waiting = threading.Thread(target=lambda: put.append(mailbox.put(*some)))
    waiting.start()
    mailbox.close()
    waiting.join()
    assert put == [False]
