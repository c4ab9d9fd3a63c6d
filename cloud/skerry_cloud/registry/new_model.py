"""What people say of a model when they register it, and when they change it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from skerry_cloud.registry.files import File
from skerry_contract.manifest import ModelText
from skerry_contract.names import MODEL_NAME
from skerry_contract.shape import Range, Size, Text

_Short = Annotated[str, Text(max_length=1000)]
Labels = Annotated[Mapping[str, _Short], Size(0, 100, Text(max_length=100))]


@dataclass(frozen=True, slots=True)
class ModelResources:
    """What one copy of a model needs; a hint for those who deploy it.

    Attributes:
        cpu: Processors.
        memory_gb: Memory in GiB.
        gpu: Graphics processors.
    """

    cpu: Annotated[float, Range(0, 1024)] | None = None
    memory_gb: Annotated[float, Range(0, 65_536)] | None = None
    gpu: Annotated[int, Range(0, 1024)] | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """Data that a model has to do with.

    Attributes:
        scenario: What it was used for.
        reference: Where it is, in the words of whoever keeps it.
    """

    scenario: Literal["training", "validation", "inferencing"]
    reference: _Short


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """What is registered as the next version of a name.

    Attributes:
        name: What the model is called.
        files: Its files, uploaded already.
        description: For people.
        tags: For people and for searching; they may change.
        properties: Facts, such as a metric of the training; none changes, new ones may come.
        framework: What it was made with: TensorFlow, ScikitLearn, Onnx, TfKeras, PyTorch, Multi,
            Custom or another word.
        framework_version: And with which version of that.
        unpack: Whether the one file is an archive that stands for the files in it.
        sample_input: A file with typical input, uploaded already.
        sample_output: A file with the output for it.
        resources: What one copy of it needs.
        datasets: Data that it has to do with.
        run_id: The run that made it.
        experiment_name: The experiment that the run belongs to.
        parent: The model that it was made from; it is kept as ``name:version``.
    """

    name: Annotated[str, Text(MODEL_NAME, 255, "a name of letters, digits, -, . and _")]
    files: Annotated[tuple[File, ...], Size(0, 100_000)] = ()
    description: Annotated[str, Text(max_length=10_000)] = ""
    tags: Labels = field(default_factory=dict)
    properties: Labels = field(default_factory=dict)
    framework: _Short = ""
    framework_version: _Short = ""
    unpack: bool = False
    sample_input: File | None = None
    sample_output: File | None = None
    resources: ModelResources = ModelResources()
    datasets: Annotated[tuple[DataSet, ...], Size(0, 100)] = ()
    run_id: _Short = ""
    experiment_name: _Short = ""
    parent: ModelText | None = None


@dataclass(frozen=True, slots=True)
class ModelChange:
    """What is to change of a model; what is left out stays.

    Attributes:
        description: The new description.
        tags: New tags in place of all that there are.
        add_tags: Tags to add, or to give another value.
        remove_tags: Tags to remove; those that are not there are passed over.
        add_properties: Properties to add; one that exists cannot change.
    """

    description: Annotated[str, Text(max_length=10_000)] | None = None
    tags: Labels | None = None
    add_tags: Labels = field(default_factory=dict)
    remove_tags: Annotated[tuple[_Short, ...], Size(0, 100)] = ()
    add_properties: Labels = field(default_factory=dict)
