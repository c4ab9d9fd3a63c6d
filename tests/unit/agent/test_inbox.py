"""The place where desired documents wait for the agent's loop."""

from skerry_agent.agent import Inbox


def test_a_document_is_taken_once_and_the_newest_wins() -> None:
    inbox = Inbox()
    inbox.put(b"first")
    inbox.put(b"second")
    assert (inbox.take(), inbox.take()) == (b"second", None)


def test_a_document_that_was_put_back_is_taken_again() -> None:
    inbox = Inbox()
    inbox.put_back(b"first")
    assert inbox.take() == b"first"


def test_a_document_that_was_put_back_does_not_overtake_a_newer_one() -> None:
    inbox = Inbox()
    inbox.put(b"second")
    inbox.put_back(b"first")
    assert (inbox.take(), inbox.take()) == (b"second", None)
