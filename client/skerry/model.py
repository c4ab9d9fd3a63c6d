"""Models of the registry, and what is made of them: services, packages."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from skerry import answers
from skerry.api import NO_RESOURCES, ModelChange, NewModel
from skerry.deploying import DeploymentConfiguration, Order, registered
from skerry.explained import explained
from skerry.files import LocalFile, Reader
from skerry.inference import InferenceConfig
from skerry.local.places import Places
from skerry.model_path import in_scorer, local_model
from skerry.module_build import start_build
from skerry.package import ModelPackage
from skerry.resource_configuration import ResourceConfiguration
from skerry.upload import upload
from skerry.workspace import Workspace
from skerry_contract.errors import ConflictError, ModelError, NotFoundError
from skerry_contract.names import (
    ModelReference,
    Reference,
    check_model_name,
    check_name,
    parse_model_reference,
)

if TYPE_CHECKING:
    from skerry.webservice import Webservice

__all__ = ["InferenceConfig", "Model", "ModelPackage", "ResourceConfiguration"]

Tags = Mapping[str, str]
Filters = Sequence[str | Sequence[str]]


class Model:
    """One version of a registered model.

    Args:
        workspace: The server.
        name: Its name; the latest version unless ``version`` says which.
        id: Name and version at once: ``sentiment:1``, ``sentiment@sha256:…`` by its content, or
            ``sentiment:latest``, which means the same as the name alone.
        tags: Keys, or pairs of key and value, that it must have.
        properties: The same for properties.
        version: Its version.
        model_framework: What it must have been made with.

    Raises:
        NotFoundError: There is none such.
        NameInvalidError: ``name`` or ``id`` is spelled wrongly.
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

    @explained()
    def __init__(  # noqa: PLR0913, PLR0917 - the original's parameters
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the original's parameter
        tags: Filters | None = None,
        properties: Filters | None = None,
        version: int | None = None,
        model_framework: str | None = None,
    ) -> None:
        which = _which(name, id, version)
        self.workspace = workspace
        if which.version or which.digest:
            found = [workspace.api.model(which)]
        else:
            found = list(workspace.api.models(which.name))
        fitting = [one for one in found if _fits(one, tags, properties, model_framework)]
        if not fitting:
            raise NotFoundError(
                f"there is no model {which} that fits", remedy="See: skerry model list."
            )
        newest = max(fitting, key=lambda one: one.version)
        self._about = workspace.api.model(Reference(newest.name, newest.version))

    @classmethod
    def _of(cls, workspace: Workspace, about: answers.Model) -> "Model":
        made = cls.__new__(cls)
        made.workspace = workspace
        made._about = about  # noqa: SLF001 - its own
        return made

    # --- what it is -----------------------------------------------------------------------------

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
    def files(self) -> Sequence[answers.File]:
        """Its files, with their digests."""
        return self._about.files

    # --- the registry ---------------------------------------------------------------------------

    @staticmethod
    @explained()
    def register(  # noqa: PLR0913, PLR0917 - the original's parameters
        workspace: Workspace,
        model_path: str | Path,
        model_name: str,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        datasets: Sequence[tuple[str, str]] = (),
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Iterable[str] | None = None,
        sample_input_dataset: str | Path | None = None,
        sample_output_dataset: str | Path | None = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> "Model":
        """Register files as the next version of a model; only what the server lacks is sent.

        Args:
            workspace: The server.
            model_path: A file or a folder; a folder keeps its name as the first part of the files'.
            model_name: What to call it.
            tags: What people say about it.
            properties: Facts that never change.
            description: A sentence for people.
            datasets: Data that it has to do with, as pairs of scenario and reference.
            model_framework: What it was made with, see ``Model.Framework``.
            model_framework_version: And with which version of that.
            child_paths: Files and folders in the folder ``model_path``: only these are registered.
            sample_input_dataset: A file with typical input.
            sample_output_dataset: A file with the output for it.
            resource_configuration: What one copy of it needs.

        Raises:
            NameInvalidError: ``model_name`` is spelled wrongly.
            ModelError: There is nothing at ``model_path``, or something that cannot be registered.
            NetworkError: The server cannot be reached.
        """
        name = check_model_name(model_name)
        files = _chosen(Reader(ModelError).model(Path(model_path)), Path(model_path), child_paths)
        sample_input, sample_output = _sample(sample_input_dataset), _sample(sample_output_dataset)
        upload(workspace.api, [*files, *filter(None, (sample_input, sample_output))])
        new = NewModel(
            name=name,
            files=files,
            description=description or "",
            tags=dict(tags or {}),
            properties=dict(properties or {}),
            framework=model_framework or "",
            framework_version=model_framework_version or "",
            sample_input=sample_input,
            sample_output=sample_output,
            resources=_resources(resource_configuration),
            datasets=[answers.DataSet(scenario, str(what)) for scenario, what in datasets],
        )
        return Model._of(workspace, workspace.api.register_model(new))

    @staticmethod
    def list(
        workspace: Workspace,
        name: str | None = None,
        tags: Filters | None = None,
        properties: Filters | None = None,
        latest: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        model_framework: str | None = None,
    ) -> "list[Model]":
        """Return the models that fit, the newest version of each first.

        Args:
            workspace: The server.
            name: Only versions of this one.
            tags: Keys, or pairs of key and value, that a model must have.
            properties: The same for properties.
            latest: Only the latest version of each.
            model_framework: What a model must have been made with.
        """
        api = workspace.api
        names = [name] if name else [one.name for one in api.models()]
        found = []
        for each in names:
            versions = sorted(api.models(check_model_name(each)), key=lambda one: -one.version)
            found += versions[:1] if latest else versions
        fitting = (one for one in found if _fits(one, tags, properties, model_framework))
        return [Model._of(workspace, one) for one in fitting]

    @explained()
    def download(self, target_dir: str | Path = ".", exist_ok: bool = False) -> str:  # noqa: FBT001, FBT002 - the original's parameter
        """Fetch its files, verified, into ``target_dir``; return where they are.

        Args:
            target_dir: Folder, made if it is not there.
            exist_ok: Whether files of the same names are replaced.

        Raises:
            ConflictError: Something of the same name is there, and ``exist_ok`` was not given.
            DigestError: What came is not what was promised.
        """
        kept = Places.standard().model(self.workspace.api, self.with_files().files)
        target = Path(target_dir)
        tops = sorted({PurePosixPath(file.path).parts[0] for file in self.files})
        for top in tops:
            if (target / top).exists() and not exist_ok:
                remedy = "Name another folder, or pass exist_ok=True."
                raise ConflictError(f"{target / top} exists already", remedy=remedy)
        shutil.copytree(kept, target, dirs_exist_ok=True)
        return str(target / tops[0]) if len(tops) == 1 else str(target)

    def add_tags(self, tags: Tags) -> None:
        """Set these tags beside those that are there."""
        self._change(ModelChange(add_tags=dict(tags)))

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Take away the tags with these keys."""
        self._change(ModelChange(remove_tags=list(tags)))

    def add_properties(self, properties: Tags) -> None:
        """Add properties; one that is there cannot be changed.

        Raises:
            ConflictError: One is.
        """
        self._change(ModelChange(add_properties=dict(properties)))

    def update(self, tags: Tags | None = None, description: str | None = None) -> None:
        """Replace its tags, its description, or both; None stays as it is."""
        self._change(
            ModelChange(description=description, tags=None if tags is None else dict(tags))
        )

    @explained()
    def _change(self, change: ModelChange) -> None:
        self._about = self.workspace.api.change_model(Reference(self.name, self.version), change)

    @explained()
    def delete(self) -> None:
        """Delete this version.

        Raises:
            ConflictError: A module uses it.
        """
        self.workspace.api.delete_model(Reference(self.name, self.version))

    @staticmethod
    def get_model_path(
        model_name: str, version: int | None = None, workspace: Workspace | None = None
    ) -> str:
        """Return where a model's files are: its one file or folder, or the folder of all of them.

        In a scorer ``AZUREML_MODEL_DIR`` is looked at first. Then come, in the working folder,
        ``azureml-models/<name>/<version>`` and ``<name>``; what is in none of them is fetched from
        the server. With a ``workspace``, and outside a scorer, the server is asked at once.

        Args:
            model_name: Its name.
            version: Its version; the latest unless given.
            workspace: The server; the one of the login unless given.

        Raises:
            NotFoundError: There is none such.
            UnauthorizedError: It is not here, and there is no login to ask a server with.
        """
        name = check_model_name(model_name)
        if workspace is None or in_scorer(os.environ):
            here = local_model(name, version, os.environ, Path.cwd())
            if here is not None:
                return str(here)
        found = Model(workspace or Workspace.from_config(), name=name, version=version)
        kept = Places.standard().model(found.workspace.api, found.with_files().files)
        tops = {PurePosixPath(file.path).parts[0] for file in found.files}
        return str(kept / tops.pop()) if len(tops) == 1 else str(kept)

    # --- what is made of it ---------------------------------------------------------------------

    @staticmethod
    @explained()
    def deploy(  # noqa: PLR0913, PLR0917 - the original's parameters
        workspace: Workspace | None,
        name: str,
        models: "Sequence[Model | str | Path]",
        inference_config: InferenceConfig,
        deployment_config: DeploymentConfiguration | None = None,
        deployment_target: None = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
    ) -> "Webservice":
        """Deploy models with a scorer; where to is what ``deployment_config`` says.

        Args:
            workspace: The server; None will do for a local service without registered models.
            name: What the service is to be called.
            models: Registered models, or paths of files and folders for a local service.
            inference_config: The scorer and its environment.
            deployment_config: ``LocalWebservice.deploy_configuration()`` (also if it is missing)
                or ``EdgeModule.deploy_configuration(…)``.
            deployment_target: Refused: the configuration says where to.
            overwrite: Whether it may take the place of a service of the same name.

        Raises:
            ConflictError: There is one of that name, and ``overwrite`` was not given.
            ScorerError, EnvironmentFileError: The scorer or its environment cannot work.
        """
        from skerry.webservice import LocalWebservice  # noqa: PLC0415 - it imports this module

        _refuse(deployment_target=deployment_target)
        config = deployment_config or LocalWebservice.deploy_configuration()
        return config.deploy(
            Order(
                name=check_name(name),
                models=[m if isinstance(m, Model) else Path(m) for m in models],
                source=inference_config.resolve(),
                workspace=workspace,
                overwrite=overwrite,
            )
        )

    @staticmethod
    @explained()
    def package(
        workspace: Workspace,
        models: "Sequence[Model]",
        inference_config: InferenceConfig,
        generate_dockerfile: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        image_name: str | None = None,
        platforms: Sequence[str] = (),
    ) -> ModelPackage:
        """Build a module of models and a scorer, and deploy it nowhere.

        Args:
            workspace: The server, which builds it.
            models: Registered models.
            inference_config: The scorer and its environment.
            generate_dockerfile: Whether ``save`` writes a folder for ``docker build`` instead of
                an image.
            image_name: What to call it; after the first model unless given.
            platforms: What to build for, such as ``linux/arm64``; this machine's unless given.
        """
        chosen = registered(models)
        name = image_name or (f"{chosen[0].name}-scorer" if chosen else "scorer")
        references = [model.id for model in chosen]
        build = start_build(
            workspace.api, check_name(name), references, inference_config.resolve(), platforms
        )
        return ModelPackage(workspace, build, generate_dockerfile=generate_dockerfile)

    def with_files(self) -> answers.Model:
        """Return it with its files, which lists leave out."""
        if not self._about.files:
            self._about = self.workspace.api.model(Reference(self.name, self.version))
        return self._about

    def __repr__(self) -> str:
        return f"Model(name={self.name!r}, version={self.version})"


def _which(name: str | None, id: str | None, version: int | None) -> ModelReference:  # noqa: A002 - the original's parameter
    if id is not None:
        return parse_model_reference(id)
    if name is None:
        raise ModelError("which model?", remedy="Name it: Model(ws, name='sentiment').")
    return ModelReference(check_model_name(name), None if version is None else int(version))


def _sample(path: str | Path | None) -> LocalFile | None:
    return None if path is None else Reader(ModelError).model(Path(path))[0]


def _resources(wanted: ResourceConfiguration | None) -> answers.ModelResources:
    if wanted is None:
        return NO_RESOURCES
    return answers.ModelResources(wanted.cpu, wanted.memory_in_gb, wanted.gpu)


def _refuse(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise ModelError(f"{name} means nothing here yet", remedy="Leave it out.")


def _fits(
    about: answers.Model,
    tags: Filters | None,
    properties: Filters | None,
    framework: str | None,
) -> bool:
    if framework is not None and about.framework != framework:
        return False
    return _has(about.tags, tags) and _has(about.properties, properties)


def _has(there: Tags, wanted: Filters | None) -> bool:
    for one in wanted or ():
        key, value = (one, None) if isinstance(one, str) else (one[0], one[1])
        if key not in there or (value is not None and there[key] != value):
            return False
    return True


def _chosen(
    files: Sequence[LocalFile], path: Path, child_paths: Iterable[str] | None
) -> Sequence[LocalFile]:
    """Leave out what is not below one of ``child_paths``, each of which must hold something."""
    if child_paths is None:
        return files
    prefix = f"{path.resolve().name}/"
    kept: dict[str, LocalFile] = {}
    for child in child_paths:
        wanted = prefix + PurePosixPath(child).as_posix()
        below = [f for f in files if f.path == wanted or f.path.startswith(f"{wanted}/")]
        if not below:
            raise ModelError(f"{path} has no {child}", remedy="child_paths are relative to it.")
        kept |= {file.path: file for file in below}
    return list(kept.values())
