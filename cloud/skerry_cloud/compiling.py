"""Hand a build's job to the compiler."""

from collections.abc import Callable, Sequence
from pathlib import Path

from skerry_cloud import compiler
from skerry_cloud.blobs import BlobStore
from skerry_cloud.builds import Compile, Job
from skerry_cloud.compiler import BuildRequest, FileEntry, ModelFiles
from skerry_cloud.registry.files import File
from skerry_cloud.registry.modules import Image, Layer
from skerry_contract.names import Digest


def compiler_into(blobs: BlobStore, caches: Path) -> Compile:
    """Return what compiles jobs into ``blobs``, keeping what can be used again in ``caches``."""

    def compile_image(job: Job, platform: str, progress: Callable[[str], None]) -> Image:
        made = compiler.compile_module(_request(job, platform), blobs, caches, progress)
        layers = [Layer(one.digest, one.size, one.kind, one.reused) for one in made.layers]
        return Image(made.digest, made.size, tuple(layers), made.checked)

    return compile_image


def _request(job: Job, platform: str) -> BuildRequest:
    models = [
        ModelFiles(
            model.reference.name,
            model.reference.version,
            _entries(model.about.files),
            model.about.framework,
            model.about.framework_version,
        )
        for model in job.models
    ]
    return BuildRequest(
        name=job.reference.name,
        version=job.reference.version,
        platform=platform,
        models=tuple(models),
        files=_entries(job.order.files),
        entry_script=job.order.entry_script,
        environment=job.order.environment,
        check_init=job.order.check,
    )


def _entries(files: Sequence[File]) -> tuple[FileEntry, ...]:
    return tuple(FileEntry(file.path, Digest(file.digest), file.size) for file in files)
