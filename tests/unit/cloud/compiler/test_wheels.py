"""Which wheels fit a platform, and what is told of those that do not."""

import pytest

from skerry_cloud.compiler.platforms import find_platform
from skerry_cloud.compiler.wheels import blamed, describe, fits, read_wheel

ARM64, ARMV7 = find_platform("linux/arm64"), find_platform("linux/arm/v7")
NAMES = (
    "tflite_runtime-2.13.0-cp39-cp39-manylinux2014_aarch64.whl",
    "tflite_runtime-2.14.0-cp310-cp310-manylinux_2_34_armv7l.whl",
    "tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_aarch64.whl",
)
WHEELS = [wheel for wheel in map(read_wheel, NAMES) if wheel]


@pytest.mark.parametrize(
    ("filename", "is_fit"),
    [
        ("six-1.17.0-py2.py3-none-any.whl", True),
        ("a-1-cp311-cp311-manylinux_2_36_aarch64.whl", True),
        ("a-1-cp311-cp311-manylinux_2_37_aarch64.whl", False),
        ("a-1-cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp311-cp311-musllinux_1_2_aarch64.whl", False),
        ("a-1-1-cp37-abi3-linux_aarch64.whl", True),
        ("a-1-cp312-abi3-linux_aarch64.whl", False),
        ("a-1-cp310-cp310-linux_aarch64.whl", False),
        ("a-1-py3-none-macosx_14_0_arm64.whl", False),
    ],
)
def test_a_wheel_fits_by_python_library_and_machine(filename: str, *, is_fit: bool) -> None:
    wheel = read_wheel(filename)
    assert wheel is not None
    assert fits(wheel, ARM64, "3.11") is is_fit


def test_what_is_no_wheel_is_passed_over() -> None:
    assert read_wheel("numpy-1.26.4.tar.gz") is None
    assert read_wheel("numpy.whl") is None


def test_versions_that_fit_are_listed() -> None:
    assert describe("tflite-runtime", WHEELS, ARM64, "3.11") == (
        "tflite-runtime has wheels for Python 3.11 on linux/arm64 in these versions: 2.14.0"
    )


def test_long_lists_end_with_the_oldest_and_leave_out_pre_releases() -> None:
    names = [f"a-1.{n}-py3-none-any.whl" for n in range(12)] + ["a-2.0rc1-py3-none-any.whl"]
    told = describe("a", [wheel for wheel in map(read_wheel, names) if wheel], ARM64, "3.11")
    assert told.endswith("1.11, 1.10, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4 and 4 older ones, down to 1.0")
    only = read_wheel("a-2.0rc1-py3-none-any.whl")
    assert only
    assert describe("a", [only], ARM64, "3.11").endswith("versions: 2.0rc1")


def test_where_none_fits_the_newest_tells_what_it_has() -> None:
    assert describe("tflite-runtime", WHEELS, ARMV7, "3.11") == (
        "tflite-runtime has no wheel for Python 3.11 on linux/arm/v7 in any version; the newest, "
        "2.14.0, has them for cp311, cp310 on aarch64, armv7l"
    )
    assert "only sources" in describe("gensim", [], ARMV7, "3.11")
    assert describe("sklearn", [], ARMV7, "3.11").endswith("perhaps scikit-learn is meant")


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("Because numpy==1.26.4 has no usable wheels and you require", ["numpy"]),
        ("Because all versions of a-b have no wheels with a matching Python ABI tag", ["a-b"]),
        ("Because there is no version of six==99 and you require six==99", ["six"]),
        ("Because nothing-here was not found in the package registry", ["nothing-here"]),
        ("Because only tqdm[x]>=4.1 is available and you require", ["tqdm"]),
        ("error sending request", []),
    ],
)
def test_the_packages_that_a_resolver_blames_are_found(output: str, names: list[str]) -> None:
    assert blamed(output) == names
