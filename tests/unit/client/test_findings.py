"""What is told of a model's files when it is registered."""

from skerry.answers import File, Model
from skerry.findings import warnings

DIGEST = "sha256:" + "0" * 64


def test_an_empty_file_is_told_for_it_may_be_half_a_copy() -> None:
    files = (File("net/a.bin", DIGEST, 0), File("net/b.bin", DIGEST, 1))
    assert list(warnings(Model("net", 1, files=files))) == [
        "warning: net/a.bin holds no bytes; is it a whole copy?"
    ]
