"""The tar headers that we write ourselves, read by the standard library."""

import tarfile

import pytest

from skerry_agent.runtimes.docker_archive import header


@pytest.mark.parametrize("size", [0, 1, 511, 8**11 - 1, 8**11, 2**40])
def test_a_header_says_to_tarfile_what_it_was_made_from(size: int) -> None:
    entry = tarfile.TarInfo.frombuf(header("manifest.json", size), "ascii", "strict")

    assert (entry.name, entry.size, entry.mode, entry.type) == (
        "manifest.json",
        size,
        0o644,
        tarfile.REGTYPE,
    )
