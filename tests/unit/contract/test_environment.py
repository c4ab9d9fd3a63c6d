"""What environment files ask for, beyond the forms that the compiler's own test goes through."""

import pytest

from skerry_contract.conda_names import (
    LEFT_OUT,
    LIBRARIES,
    OF_THE_SYSTEM,
    OTHER_NAMES,
    REPLACED,
)
from skerry_contract.environment import (
    Requirements,
    from_conda,
    from_lines,
    from_pip,
    with_schema_package,
)
from skerry_contract.errors import EnvironmentFileError


def test_the_same_software_is_found_under_its_other_name_and_said() -> None:
    read = from_conda("env.yml", {"dependencies": ["pytables=3.9", "Py-OpenCV"]})
    assert read.lines == ("tables==3.9.*", "opencv-python-headless")
    assert read.notes == (
        "pytables is called tables here",
        "py-opencv is called opencv-python-headless here",
    )


def test_what_only_conda_needs_is_left_out_and_said() -> None:
    read = from_conda("env.yml", {"dependencies": ["mkl", "pip", "numpy"]})
    assert read.lines == ("numpy",)
    assert len(read.notes) == 1
    assert read.notes[0].startswith("mkl is left out: NumPy computes with another library")


def test_what_belongs_to_the_operating_system_is_named_with_a_remedy() -> None:
    with pytest.raises(EnvironmentFileError, match=r"dependencies\[1\]: ffmpeg is no") as told:
        from_conda("env.yml", {"dependencies": ["numpy", "ffmpeg=4"]})
    assert "imageio-ffmpeg" in told.value.remedy


@pytest.mark.parametrize("name", ["azureml-defaults", "AzureML_Defaults", "azureml-core"])
def test_the_scorer_host_takes_the_place_of_the_other_server(name: str) -> None:
    read = from_lines("pip", [name, "numpy"])
    assert read.lines == ("numpy",)
    assert "the scorer host takes its place" in read.notes[0]


def test_no_name_is_in_two_tables_and_all_are_lower_case() -> None:
    tables = (OTHER_NAMES, LEFT_OUT, LIBRARIES, OF_THE_SYSTEM, REPLACED)
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize("document", [None, [], "x", {"dependencies": {}}, {"name": "x"}])
def test_what_is_no_conda_environment_is_refused(document: object) -> None:
    with pytest.raises(EnvironmentFileError, match=r"env\.yml"):
        from_conda("env.yml", document)


EXPORTED = {
    "name": "x",
    "channels": ["https://repo.anaconda.com/pkgs/main", "pytorch", "conda-forge/linux-64"],
    "dependencies": [
        "_libgcc_mutex=0.1=main",
        "libffi=3.4.4=h6a678d5_0",
        "ncurses=6.4=h6a678d5_0",
        "numpy=1.26.4=py311h08b1b3b_0",
        "pytorch::torchvision=0.18",
        {"pip": ["six==1.16.0"]},
    ],
    "prefix": "/opt/conda",
}


def test_what_conda_itself_exports_is_read() -> None:
    read = from_conda("env.yml", EXPORTED)
    assert read.lines == ("numpy==1.26.4.*", "torchvision==0.18.*", "six==1.16.0")
    assert read.notes == (
        "left out, for wheels bring what they need of it: _libgcc_mutex, libffi, ncurses",
    )


@pytest.mark.parametrize(
    "channel", ["acme", "https://conda.example.org/main", "https://conda.anaconda.org/acme", 3]
)
def test_a_channel_that_may_mean_other_software_is_refused(channel: object) -> None:
    with pytest.raises(EnvironmentFileError, match="channel"):
        from_conda("env.yml", {"channels": [channel], "dependencies": []})


FILES = {
    "deploy/env.txt": "-r base.txt\n--requirement=../more/extra.txt\nnumpy",
    "deploy/base.txt": "six  # one\n-r env.txt\n-r base.txt",
    "more/extra.txt": "tqdm\n-r ../deploy/base.txt",
}


def beside(path: str) -> str:
    if path not in FILES:
        raise EnvironmentFileError(f"there is no {path}")
    return FILES[path]


def test_files_that_name_each_other_are_read_once_each() -> None:
    read = from_pip("deploy/env.txt", FILES["deploy/env.txt"], beside)
    assert read.lines == ("six", "tqdm", "numpy")
    conda = from_conda("env.yml", {"dependencies": [{"pip": ["-r deploy/env.txt"]}]}, beside)
    assert conda.lines == ("six", "tqdm", "numpy")


@pytest.mark.parametrize(
    "name", ["../env.txt", "/etc/passwd", "https://example.org/x.txt", "a/../../b.txt"]
)
def test_a_file_that_lies_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(EnvironmentFileError, match=r"env.txt:1: .*scorer's folder"):
        from_pip("env.txt", f"-r {name}", beside)
    with pytest.raises(EnvironmentFileError, match="there is no gone"):
        from_pip("env.txt", "-r gone.txt", beside)


def test_files_without_end_are_refused() -> None:
    with pytest.raises(EnvironmentFileError, match="more than 20 files"):
        from_pip("0.txt", "-r 1.txt", lambda path: f"-r {int(path[:-4]) + 1}.txt")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("-e .", "Source folders"),
        ("-c constraints.txt", "Constraints"),
        ("--find-links https://example.org/", "--extra-index-url"),
        ("--index-url http://example.org/simple", "https://"),
        ("--trusted-host example.org", "certificate"),
        ("--pre", "pre-releases"),
        ("git+https://example.org/a.git", "Repositories"),
        ("a @ git+https://example.org/a.git", "Repositories"),
        ("a @ https://example.org/a.whl", "URLs"),
        ("./a-1-py3-none-any.whl", "URLs"),
        ("six==${VERSION}", "Variables"),
        ("[packages]", "Pipfile"),
        ("numpy=1.26", "'=='"),
        ("???", "numpy==1.26.4"),
    ],
)
def test_what_is_not_taken_comes_with_what_to_do_instead(line: str, word: str) -> None:
    with pytest.raises(EnvironmentFileError, match=r"env.txt:1: ") as told:
        from_pip("env.txt", line)
    assert word in told.value.remedy


def test_what_is_so_anyway_is_passed_over_and_a_password_is_pointed_at() -> None:
    text = "--prefer-binary\n--only-binary :all:\n--no-cache-dir\nsix"
    assert from_pip("env.txt", text) == Requirements(("six",))
    read = from_pip("env.txt", "--index-url https://me:secret@example.org/simple\nsix")
    assert "goes into the image" in read.notes[0]
    assert "secret" not in read.notes[0]


@pytest.mark.parametrize(
    ("lines", "source", "added"),
    [
        (["azureml-defaults"], "from inference_schema.schema_decorators import input_schema", True),
        (["azureml_defaults"], "def f():\n    import inference_schema\n", True),
        (["azureml-defaults"], "# import inference_schema", False),
        (["azureml-defaults", "inference-schema==1.5"], "import inference_schema", False),
        (["azureml-defaults", "Inference_Schema[numpy-support]"], "import inference_schema", False),
        (["azureml-monitoring"], "import inference_schema", False),
        (["numpy"], "import inference_schema", False),
    ],
)
def test_what_a_replaced_package_would_have_brought_is_added_where_it_is_used(
    lines: list[str], source: str, *, added: bool
) -> None:
    read = from_lines("pip", lines)
    more = with_schema_package(read, ["import json", source])
    assert (more != read) == added
    if added:
        assert more.lines == ("inference-schema>=1.8,<2",)
        assert (
            more.notes[-1] == "inference-schema is added, which azureml-defaults would have brought"
        )
