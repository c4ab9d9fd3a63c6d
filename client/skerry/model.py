"""Models of the registry, and what is made of them: services, packages."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from skerry import answers
from skerry.about_model import AboutModel
from skerry.api import NO_RESOURCES, ModelChange, NewModel
from skerry.deploying import DeploymentConfiguration, Order, registered
from skerry.elsewhere import Elsewhere
from skerry.explained import explained
from skerry.files import LocalFile, Reader
from skerry.inference import InferenceConfig
from skerry.local.places import Places
from skerry.model_choice import (
    SAYS_WHERE,
    Filters,
    Wanted,
    below,
    check_label,
    refuse,
    scorer_of,
)
from skerry.model_path import in_scorer, local_model
from skerry.model_profile import (
    DEFAULT_CPU,
    DEFAULT_MEMORY_GB,
    Inputs,
    ModelProfile,
    measured,
)
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

__all__ = ["InferenceConfig", "Model", "ModelPackage", "ModelProfile", "ResourceConfiguration"]

Tags = Mapping[str, str]


class Model(AboutModel):
    """One version of a registered model.

    Args:
        workspace: The server.
        name: Its name; the latest version unless ``version`` says which.
        id: Name and version at once: ``sentiment:1``, ``sentiment@sha256:…`` by its content, or
            ``sentiment:latest``, which means the same as the name alone.
        tags: Keys, or pairs of key and value, that it must have.
        properties: The same for properties.
        version: Its version.
        run_id: The run that it must have come from.
        model_framework: What it must have been made with.
        expand: Accepted and without effect: nothing else is fetched with it.

    Raises:
        NotFoundError: There is none such.
        NameInvalidError: ``name`` or ``id`` is spelled wrongly.
    """

    @explained()
    def __init__(  # noqa: PLR0913, PLR0917 - the original's parameters
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the original's parameter
        tags: Filters | None = None,
        properties: Filters | None = None,
        version: int | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,  # noqa: FBT001, FBT002 - the original's parameter
    ) -> None:
        del expand
        which = _which(name, id, version)
        if which.version or which.digest:
            found = [workspace.api.model(which)]
        else:
            found = list(workspace.api.models(which.name))
        wanted = Wanted(tags, properties, run_id, model_framework)
        fitting = [one for one in found if wanted.fits(one)]
        if not fitting:
            raise NotFoundError(
                f"there is no model {which} that fits", remedy="See: skerry model list."
            )
        newest = max(fitting, key=lambda one: one.version)
        super().__init__(workspace, workspace.api.model(Reference(newest.name, newest.version)))

    @classmethod
    def _of(cls, workspace: Workspace, about: answers.Model) -> "Model":
        made = cls.__new__(cls)
        AboutModel.__init__(made, workspace, about)
        return made

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
        files = below(Reader(ModelError).model(Path(model_path)), Path(model_path), child_paths)
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
    def list(  # noqa: PLR0913, PLR0917 - the original's parameters
        workspace: Workspace,
        name: str | None = None,
        tags: Filters | None = None,
        properties: Filters | None = None,
        run_id: str | None = None,
        latest: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        dataset_id: str | None = None,
        expand: bool = True,  # noqa: FBT001, FBT002 - the original's parameter
        page_count: int = 255,
        model_framework: str | None = None,
    ) -> "list[Model]":
        """Return the models that fit, the newest version of each first.

        Args:
            workspace: The server.
            name: Only versions of this one.
            tags: Keys, or pairs of key and value, that a model must have.
            properties: The same for properties.
            run_id: The run that a model must have come from.
            latest: Only the latest version of each.
            dataset_id: Reference of data that a model must have to do with.
            expand: Accepted and without effect, like ``page_count``: all of them are listed.
            page_count: See ``expand``.
            model_framework: What a model must have been made with.
        """
        del expand, page_count
        wanted = Wanted(tags, properties, run_id, model_framework, dataset_id)
        api = workspace.api
        names = [name] if name else [one.name for one in api.models()]
        found = []
        for each in names:
            versions = sorted(api.models(check_model_name(each)), key=lambda one: -one.version)
            found += versions[:1] if latest else versions
        return [Model._of(workspace, one) for one in found if wanted.fits(one)]

    @explained()
    def download(
        self,
        target_dir: str | Path = ".",
        exist_ok: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        exists_ok: bool | None = None,  # noqa: FBT001 - the original's parameter
    ) -> str:
        """Fetch its files, verified, into ``target_dir``; return where they are.

        Args:
            target_dir: Folder, made if it is not there.
            exist_ok: Whether files of the same names are replaced.
            exists_ok: An older name of ``exist_ok``.

        Raises:
            ConflictError: Something of the same name is there, and ``exist_ok`` was not given.
            DigestError: What came is not what was promised.
        """
        exist_ok = exist_ok if exists_ok is None else exists_ok
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

    def update_tags_properties(
        self,
        add_tags: Tags | None = None,
        remove_tags: Iterable[str] | None = None,
        add_properties: Tags | None = None,
    ) -> None:
        """Add tags and properties, and take away tags, in one step.

        Raises:
            ConflictError: A property is there already.
        """
        change = ModelChange(
            add_tags=dict(add_tags or {}),
            remove_tags=list(remove_tags or ()),
            add_properties=dict(add_properties or {}),
        )
        self._change(change)

    @explained()
    def update(
        self,
        tags: Tags | None = None,
        description: str | None = None,
        sample_input_dataset: None = None,
        sample_output_dataset: None = None,
        resource_configuration: None = None,
    ) -> None:
        """Replace its tags, its description, or both; None stays as it is.

        Args:
            tags: In the place of all that are there.
            description: Likewise.
            sample_input_dataset: Refused, like the next two: these are registered with a version
                and stay as they are.
            sample_output_dataset: See ``sample_input_dataset``.
            resource_configuration: See ``sample_input_dataset``.

        Raises:
            ModelError: One was given that cannot be changed.
        """
        refuse(
            "Register the next version with it: Model.register(…).",
            sample_input_dataset=sample_input_dataset,
            sample_output_dataset=sample_output_dataset,
            resource_configuration=resource_configuration,
        )
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
        inference_config: InferenceConfig | None = None,
        deployment_config: DeploymentConfiguration | None = None,
        deployment_target: None = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        show_output: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
    ) -> "Webservice":
        """Deploy models with a scorer; where to is what ``deployment_config`` says.

        Args:
            workspace: The server; None will do for a local service without registered models.
            name: What the service is to be called.
            models: Registered models, or paths of files and folders for a local service.
            inference_config: The scorer and its environment; without one it is refused, for a
                model alone does not say how it is asked.
            deployment_config: ``LocalWebservice.deploy_configuration()`` (also if it is missing)
                or ``EdgeModule.deploy_configuration(…)``.
            deployment_target: Refused: the configuration says where to.
            overwrite: Whether it may take the place of a service of the same name.
            show_output: Whether what is to be deployed is shown first.

        Raises:
            ConflictError: There is one of that name, and ``overwrite`` was not given.
            ScorerError, EnvironmentFileError: The scorer or its environment cannot work.
        """
        from skerry.webservice import LocalWebservice  # noqa: PLC0415 - it imports this module

        refuse(SAYS_WHERE, deployment_target=deployment_target)
        inference_config = scorer_of(inference_config)
        config = deployment_config or LocalWebservice.deploy_configuration()
        if show_output:
            Model.print_configuration(models, inference_config, config)
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
    def package(  # noqa: PLR0913, PLR0917 - the original's parameters
        workspace: Workspace,
        models: "Sequence[Model]",
        inference_config: InferenceConfig | None = None,
        generate_dockerfile: bool = False,  # noqa: FBT001, FBT002 - the original's parameter
        image_name: str | None = None,
        image_label: str | None = None,
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
            image_label: A further tag that ``pull`` gives it in the local Docker; here it is known
                by its version.
            platforms: What to build for, such as ``linux/arm64``; this machine's unless given.
        """
        chosen = registered(models)
        name = image_name or (f"{chosen[0].name}-scorer" if chosen else "scorer")
        references = [model.id for model in chosen]
        source = scorer_of(inference_config).resolve()
        label = image_label and check_label(image_label)
        build = start_build(workspace.api, check_name(name), references, source, platforms)
        return ModelPackage(
            workspace, build, generate_dockerfile=generate_dockerfile, label=label or ""
        )

    @staticmethod
    @explained()
    def profile(  # noqa: PLR0913, PLR0917 - the original's parameters
        workspace: Workspace,
        profile_name: str,
        models: "Sequence[Model]",
        inference_config: InferenceConfig,
        input_dataset: Inputs,
        cpu: float | None = None,
        memory_in_gb: float | None = None,
        description: str | None = None,
    ) -> ModelProfile:
        """Run a scorer on inputs within the limits of a device, and return what it took.

        It runs on this machine, and this returns when it is done: after 200 requests or a minute.

        Args:
            workspace: The server.
            profile_name: What to call it.
            models: Registered models.
            inference_config: The scorer and its environment.
            input_dataset: A file or folder of request bodies, as ``skerry model profile`` takes it,
                or a list of bodies.
            cpu: Processors; 1 unless given.
            memory_in_gb: Memory in GiB; 0.5 unless given.
            description: A sentence for people.

        Raises:
            ScorerError: There are no inputs, or the scorer cannot work.
            InitFailedError: The script cannot be imported, or ``init()`` raised.
            RuntimeFailedError: It needs more memory than the limit.
        """
        run = measured(
            workspace.api,
            [model.id for model in registered(models)],
            inference_config.resolve(),
            input_dataset,
            cpu or DEFAULT_CPU,
            memory_in_gb or DEFAULT_MEMORY_GB,
        )
        return ModelProfile(check_name(profile_name), run, description or "")

    @staticmethod
    def print_configuration(
        models: "Sequence[Model | str | Path]",
        inference_config: InferenceConfig,
        deployment_config: DeploymentConfiguration,
        deployment_target: None = None,
    ) -> None:
        """Show what would be deployed, and where to.

        Raises:
            ScorerError, EnvironmentFileError: The scorer or its environment cannot work.
        """
        refuse(SAYS_WHERE, deployment_target=deployment_target)
        source = inference_config.resolve()
        lines = (
            f"models: {', '.join(m.id if isinstance(m, Model) else str(m) for m in models)}",
            f"entry script: {source.folder / source.entry_script}",
            f"packages: {', '.join(source.requirements.lines) or 'none'}",
            f"target: {deployment_config}",
        )
        print("\n".join(lines))  # noqa: T201 - asked for

    @staticmethod
    def deserialize(workspace: Workspace, model_payload: Mapping[str, Any]) -> "Model":
        """Return the model that ``serialize`` has told of, as it is registered now.

        Raises:
            NotFoundError: It was deleted since.
        """
        return Model(workspace, id=str(model_payload.get("id", "")))

    add_dataset_references = Elsewhere(
        "Data are named when a version is registered: Model.register(…, datasets=…)."
    )
    get_sas_urls = Elsewhere("download() fetches the files, verified.")


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
