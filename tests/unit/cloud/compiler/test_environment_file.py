"""Environment files, in both forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_cloud.compiler.environment import explain, kept_records
from skerry_cloud.compiler.environment_file import Requirements, read_environment
from skerry_contract.errors import EnvironmentFileError

SEED = b"""
name: inference_environment
dependencies:
- python=3.6.2
- tensorflow
- numpy
- scikit-learn
- pip:
    - azureml-defaults
    - keras
    - gensim
"""

PIP_LINES = {
    "numpy": ("numpy",),
    "numpy==1.26.4  # pinned": ("numpy==1.26.4",),
    "# nothing\n\n": (),
    "tflite-runtime==2.14.0\nnumpy<2\n": ("tflite-runtime==2.14.0", "numpy<2"),
    "uvicorn[standard] >=0.30, <1": ("uvicorn[standard] >=0.30, <1",),
    "torch~=2.4; platform_machine == 'x86_64'": ("torch~=2.4; platform_machine == 'x86_64'",),
    f"six==1.17.0 \\\n    --hash=sha256:{'a' * 64}": (f"six==1.17.0 --hash=sha256:{'a' * 64}",),
    "pkg===1.0+local": ("pkg===1.0+local",),
    "\ufeffnumpy": ("numpy",),
}
CONDA_LINES = {
    "numpy": ("numpy",),
    "numpy=1.26": ("numpy==1.26.*",),
    "numpy=1.26.*": ("numpy==1.26.*",),
    "numpy==1.26.4": ("numpy==1.26.4",),
    "numpy=1.26.4=py311h64a7726_0": ("numpy==1.26.4.*",),
    "numpy==1.26.4=py311h64a7726_0": ("numpy==1.26.4",),
    "numpy >=1.20, <2": ("numpy>=1.20,<2",),
    "numpy 1.26.*": ("numpy==1.26.*",),
    "conda-forge::pillow": ("pillow",),
    "pytorch=2.4": ("torch==2.4.*",),
    "python=3.11": (),
    "pip": (),
    "pip=23.0": (),
}
REFUSED = [
    "-r /etc/passwd",
    "-e .",
    "./wheel.whl",
    "numpy @ https://example.org/numpy.whl",
    "git+https://example.org/x.git",
    "--index-url http://example.org/simple",
    "--trusted-host example.org",
    "--find-links /tmp",
    "numpy==1.26 --global-option=x",
    "-c constraints.txt",
    "numpy=1.26",
    "$(touch x)",
    "numpy; extra == 'a'; rm",
]


@pytest.mark.parametrize(("text", "lines"), PIP_LINES.items())
def test_lines_in_pips_form_are_read(text: str, lines: tuple[str, ...]) -> None:
    assert read_environment("environment.txt", text.encode()).lines == lines


@pytest.mark.parametrize(("text", "lines"), CONDA_LINES.items())
def test_entries_in_condas_form_become_pips(text: str, lines: tuple[str, ...]) -> None:
    document = f"channels: [conda-forge]\ndependencies:\n- '{text}'\n".encode()
    assert read_environment("conda.yml", document).lines == lines


@pytest.mark.parametrize("line", REFUSED)
def test_what_reaches_beyond_names_and_versions_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(EnvironmentFileError, match=r"environment.txt:2: ") as caught:
        read_environment("environment.txt", f"numpy\n{line}\n".encode())
    assert caught.value.remedy
    if not line.startswith("numpy=1.26"):
        with pytest.raises(EnvironmentFileError, match=r"dependencies\[0\]"):
            read_environment("conda.yml", f'dependencies:\n- pip: ["{line}"]\n'.encode())


def test_the_seed_environment_is_read_with_its_oddities_named() -> None:
    read = read_environment("myenv.yml", SEED)
    assert read.lines == ("tensorflow", "numpy", "scikit-learn", "keras", "gensim")
    assert read.notes == (
        "the environment asks for Python 3.6.2; modules run on Python 3.11",
        "azureml-defaults is left out: the scorer host takes its place",
    )


@pytest.mark.parametrize(
    "document",
    [
        "dependencies: numpy",
        "- numpy",
        "dependencies: [{npm: [left-pad]}]",
        "dependencies: [3]",
        "dependencies: ['numpy =>']",
        "dependencies: ['nvidia::cuda']",
        "channels: [acme]\ndependencies: []",
        "dependencies: [numpy\n",
        "!!python/object/apply:os.system [true]",
    ],
)
def test_a_conda_file_that_cannot_be_used_is_named(document: str) -> None:
    with pytest.raises(EnvironmentFileError, match=r"conda.yaml"):
        read_environment("conda.yaml", document.encode())


def test_an_index_over_https_is_passed_on() -> None:
    read = read_environment("e.txt", b"--extra-index-url https://example.org/cpu\ntorch\n")
    assert read == Requirements(("torch",), ("--extra-index-url", "https://example.org/cpu"))


@given(st.binary(max_size=200), st.sampled_from(["a.txt", "a.yml"]))
def test_any_bytes_are_read_or_refused(data: bytes, path: str) -> None:
    try:
        read = read_environment(path, data)
    except EnvironmentFileError:
        return
    assert not [line for line in read.lines if line.startswith("-") or "\n" in line]


def test_uvs_reason_is_told_in_one_line() -> None:
    output = (
        "Using CPython 3.11\n  \u00d7 No solution found when resolving dependencies:\n"
        "  ╰─▶ Because six==9 was not found and you require six==9, we can conclude\n"
        "      that your requirements are unsatisfiable.\n"
    )
    assert explain(output) == (
        "Because six==9 was not found and you require six==9, we can conclude that your "
        "requirements are unsatisfiable."
    )


def test_a_record_forgets_what_tells_of_the_installing_machine() -> None:
    kept = "six.py,sha256=abc,1\nsix-1.dist-info/METADATA,sha256=abc,2\nsix-1.dist-info/RECORD,,\n"
    dropped = (
        "bin/tool,sha256=abc,1\n../../bin/tool,sha256=abc,1\nsix-1.dist-info/INSTALLER,,\n"
        "__pycache__/six.cpython-311.pyc,,\nsix-1.dist-info/direct_url.json,,\n"
    )
    assert kept_records(dropped + kept) == kept
