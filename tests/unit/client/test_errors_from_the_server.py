"""What the server says went wrong is the same error here."""

from typing import Any

import pytest

from skerry.session import exit_status
from skerry.transport import error_from
from skerry_contract.errors import (
    ConflictError,
    ManifestError,
    NetworkError,
    SkerryError,
    UnauthorizedError,
    family,
)


@pytest.mark.parametrize("kind", list(family()), ids=lambda kind: kind.code)
def test_every_error_crosses_the_wire(kind: type[SkerryError]) -> None:
    parts = {"code": kind.code, "text": "it broke", "remedy": "mend it", "detail": "line 1"}
    found = error_from({"error": parts}, fallback="status 500")
    assert type(found) is kind
    assert (found.text, found.remedy, found.detail) == ("it broke", "mend it", "line 1")


@pytest.mark.parametrize(
    "document", [None, [], {}, {"error": None}, {"error": "x"}, {"error": {}}, {"detail": []}]
)
def test_nonsense_is_an_error_of_no_known_kind(document: Any) -> None:
    found = error_from(document, fallback="status 500")
    assert type(found) is SkerryError
    assert found.text == "status 500"


def test_only_reaching_and_being_let_in_have_a_status_of_their_own() -> None:
    assert exit_status(NetworkError("x")) == 3
    assert exit_status(UnauthorizedError("x")) == 3
    assert exit_status(ConflictError("x")) == 1
    assert exit_status(ManifestError("x")) == 1
