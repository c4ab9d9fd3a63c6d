"""Licences out of a bill of materials."""

import json

import pytest

from skerry.images.reports import UNSTATED, licences
from skerry_contract.errors import ContractError


def test_packages_are_grouped_by_licence_and_those_without_one_are_named_last() -> None:
    components = [
        {"name": "zlib", "version": "1", "licenses": [{"license": {"name": "Zlib"}}]},
        {"name": "six", "version": "2", "licenses": [{"expression": "MIT"}]},
        {"name": "both", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "Zlib"}}]},
        {"name": "libc6", "version": "3"},
    ]
    found = licences(json.dumps({"components": components, "other": 1}).encode())
    assert found == {"MIT": ["both", "six 2"], "Zlib": ["both", "zlib 1"], UNSTATED: ["libc6 3"]}
    assert list(found)[-1] == UNSTATED


def test_what_is_no_bill_of_materials_is_refused() -> None:
    with pytest.raises(ContractError, match="bill of materials"):
        licences(b"[]")
