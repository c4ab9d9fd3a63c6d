"""The place where desired documents wait for the agent's loop."""

from skerry_agent.telling.inbox import MAX_REQUESTS, Inbox


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


def test_requests_are_taken_in_their_order_and_the_oldest_go_when_there_are_too_many() -> None:
    inbox = Inbox()
    for number in range(MAX_REQUESTS + 1):
        inbox.put_request(b"%d" % number)
    assert inbox.take_request() == b"1"
    inbox.put_request_back(b"again")
    assert inbox.take_request() == b"again"


def test_confirmations_are_taken_once() -> None:
    inbox = Inbox()
    inbox.confirm("c1")
    assert (inbox.take_confirmed(), inbox.take_confirmed()) == (["c1"], [])
