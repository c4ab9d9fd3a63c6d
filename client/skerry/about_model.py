"""What a registered model says of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from skerry import answers
from skerry.api import NO_RESOURCES
from skerry.resource_configuration import ResourceConfiguration
from skerry.workspace import Workspace
from skerry_contract.names import Reference


class AboutModel:
    """One version of a model, as the server tells of it.

    Args:
        workspace: The server.
        about: What it says.
    """

    class Framework:
        """What a model was made with."""

        CUSTOM = "Custom"
        KERAS = TFKERAS = "TfKeras"
        MULTI = "Multi"
        ONNX = "Onnx"
        PYTORCH = "PyTorch"
        SCIKITLEARN = "ScikitLearn"
        TENSORFLOW = "TensorFlow"

    def __init__(self, workspace: Workspace, about: answers.Model) -> None:
        self.workspace = workspace
        self._about = about

    @property
    def name(self) -> str:
        """What it is called."""
        return self._about.name

    @property
    def version(self) -> int:
        """Its version, from 1."""
        return self._about.version

    @property
    def executes_code(self) -> tuple[str, ...]:
        """Paths of its files that can execute code when they are loaded, such as pickles."""
        return tuple(one.path for one in self._about.findings if one.executes_code)

    @property
    def id(self) -> str:
        """Name and version, such as ``sentiment:1``."""
        return f"{self.name}:{self.version}"

    @property
    def description(self) -> str:
        """A sentence for people."""
        return self._about.description

    @property
    def tags(self) -> dict[str, str]:
        """What people say about it."""
        return dict(self._about.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Facts that never change."""
        return dict(self._about.properties)

    @property
    def model_framework(self) -> str:
        """What it was made with."""
        return self._about.framework

    @property
    def model_framework_version(self) -> str:
        """And with which version of that."""
        return self._about.framework_version

    @property
    def created_time(self) -> str:
        """When it was registered, in UTC as RFC 3339 writes it."""
        return self._about.created

    @property
    def created_by(self) -> str:
        """Who registered it."""
        return self._about.created_by

    @property
    def run_id(self) -> str:
        """The run that it came from."""
        return self._about.run_id

    @property
    def experiment_name(self) -> str:
        """And the experiment of that run."""
        return self._about.experiment_name

    @property
    def parent_id(self) -> str:
        """The model that it was made from, as ``name:version``; empty if none is known."""
        return self._about.parent

    @property
    def derived_model_ids(self) -> "list[str]":
        """The models that were made from it."""
        return list(self.with_files().derived)

    @property
    def datasets(self) -> Mapping[str, "list[str]"]:
        """Data that it has to do with: references, by scenario."""
        found: dict[str, list[str]] = {}
        for one in self._about.datasets:
            found.setdefault(one.scenario, []).append(one.reference)
        return found

    @property
    def sample_input_dataset(self) -> answers.File | None:
        """A file with typical input."""
        return self.with_files().sample_input

    @property
    def sample_output_dataset(self) -> answers.File | None:
        """A file with the output for it."""
        return self.with_files().sample_output

    @property
    def resource_configuration(self) -> ResourceConfiguration | None:
        """What one copy of it needs, as it was registered."""
        told = self._about.resources
        if told == NO_RESOURCES:
            return None
        return ResourceConfiguration(told.cpu, told.memory_gb, told.gpu)

    @property
    def url(self) -> str:
        """Where the API has it."""
        return f"{self.workspace.url}/v1/models/{self.name}/{self.version}"

    @property
    def files(self) -> Sequence[answers.File]:
        """Its files, with their digests."""
        return self._about.files

    def serialize(self) -> dict[str, Any]:
        """Return what there is to know about it, as JSON values."""
        about = self.with_files()
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
            "createdTime": self.created_time,
            "createdBy": self.created_by,
            "runId": self.run_id,
            "experimentName": self.experiment_name,
            "parentId": self.parent_id,
            "derivedModelIds": self.derived_model_ids,
            "datasets": dict(self.datasets),
            "digest": about.digest,
            "files": [{"path": f.path, "digest": f.digest, "size": f.size} for f in about.files],
        }

    def with_files(self) -> answers.Model:
        """Return it with its files, which lists leave out."""
        if not self._about.files:
            self._about = self.workspace.api.model(Reference(self.name, self.version))
        return self._about

    def __repr__(self) -> str:
        return f"Model(name={self.name!r}, version={self.version})"
