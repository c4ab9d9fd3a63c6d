"""What the operating system refuses, as people are told."""

import errno
import os
from pathlib import Path

import pytest

from skerry.durable import check_writable
from skerry.session import disk_error, exit_status
from skerry.statuses import FAILED


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "CONFLICT"),
        (errno.EROFS, "CONFLICT"),
        (errno.EBUSY, "CONFLICT"),
        (errno.ENOENT, "NOT_FOUND"),
        (errno.ENOTDIR, "NOT_FOUND"),
        (errno.ENOSPC, "NO_SPACE"),
        (errno.EDQUOT, "NO_SPACE"),
    ],
)
def test_each_refusal_names_the_file_the_reason_and_a_remedy(number: int, code: str) -> None:
    error = disk_error(OSError(number, os.strerror(number), "/some/where"))
    assert (error.text, error.code) == (f"/some/where: {os.strerror(number)}", code)
    assert error.remedy
    assert exit_status(error) == FAILED


def test_both_files_of_a_rename_are_named() -> None:
    assert disk_error(OSError(errno.EBUSY, "busy", "/a", None, "/b")).text == "/a -> /b: busy"


def test_an_error_without_a_number_still_says_something() -> None:
    assert disk_error(OSError("odd")).text == "odd"
    assert disk_error(TimeoutError()).text == "TimeoutError"


def test_a_folder_that_takes_no_files_is_named_itself() -> None:
    with pytest.raises(OSError, match=r"'/proc/self'$"):
        check_writable(Path("/proc/self"))
