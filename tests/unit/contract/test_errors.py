"""The tree of errors is what its docstring draws, and each code is one class's own."""

import re

import pytest

from skerry_contract import errors
from skerry_contract.errors import ContractError, SkerryError, family, path_text


def drawn_tree() -> dict[str, str]:
    """Return the parent of each class in the docstring's drawing."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r" {4}([ │├└─]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            parents[found[2]] = above[depth - 1] if depth else ""
            above[depth:] = [found[2]]
    return parents


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    real = {cls.__name__: "" if cls is SkerryError else cls.__mro__[1].__name__ for cls in family()}
    assert drawn_tree() == real


def test_every_class_of_the_module_belongs_to_the_tree() -> None:
    found = {value for value in vars(errors).values() if isinstance(value, type)}
    classes = {cls for cls in found if issubclass(cls, BaseException)}
    assert classes == {cls for cls in family() if cls.__module__ == errors.__name__}


def test_every_code_is_unique_and_well_formed() -> None:
    codes = [cls.code for cls in family()]
    assert len(codes) == len(set(codes))
    assert [code for code in codes if not re.fullmatch("[A-Z][A-Z_]{1,31}", code)] == []
    assert all("code" in vars(cls) for cls in family())


def test_every_class_says_what_it_means() -> None:
    assert [cls.__name__ for cls in family() if not cls.__doc__] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("modules",), "modules"),
        (("modules", "cam", "inputs", 0, "folder"), "modules.cam.inputs[0].folder"),
        ((0,), "[0]"),
        ((0, "a", 1, 2, "b"), "[0].a[1][2].b"),
    ],
)
def test_a_path_reads_as_people_write_it(path: tuple[str | int, ...], text: str) -> None:
    assert path_text(path) == text


@pytest.mark.parametrize(
    ("subject", "path", "text"),
    [
        ("", (), "is odd"),
        ("manifest", (), "manifest: is odd"),
        ("", ("a", 1), "a[1]: is odd"),
        ("manifest", ("a", 1), "manifest: a[1]: is odd"),
    ],
)
def test_a_contract_error_names_document_field_and_reason(
    subject: str, path: tuple[str | int, ...], text: str
) -> None:
    error = ContractError("is odd", path, subject=subject, remedy="Mend it.")
    assert (str(error), error.text) == (text, text)
    assert (error.path, error.reason, error.remedy) == (path, "is odd", "Mend it.")
