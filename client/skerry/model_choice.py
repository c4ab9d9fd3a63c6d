"""Which models are meant, which of their files, and what cannot be asked of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from skerry import answers
from skerry.files import LocalFile
from skerry.inference import InferenceConfig
from skerry_contract.errors import ModelError, NameInvalidError, ScorerError

Filters = Sequence[str | Sequence[str]]
SAYS_WHERE = "The deployment configuration says where to; leave it out."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model must have; None asks for nothing.

    Attributes:
        tags: Keys, or pairs of key and value.
        properties: The same.
        run_id: The run that it came from.
        framework: What it was made with.
        dataset: Reference of data that it has to do with.
    """

    tags: Filters | None = None
    properties: Filters | None = None
    run_id: str | None = None
    framework: str | None = None
    dataset: str | None = None

    def fits(self, about: answers.Model) -> bool:
        """Return whether a model has all of it."""
        if self.framework is not None and about.framework != self.framework:
            return False
        if self.run_id is not None and about.run_id != self.run_id:
            return False
        if self.dataset is not None and self.dataset not in {d.reference for d in about.datasets}:
            return False
        return _has(about.tags, self.tags) and _has(about.properties, self.properties)


def below(
    files: Sequence[LocalFile], path: Path, child_paths: Iterable[str] | None
) -> Sequence[LocalFile]:
    """Leave out what is not below one of ``child_paths``, each of which must hold something.

    Raises:
        ModelError: One of them holds nothing.
    """
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


def refuse(remedy: str, **given: object) -> None:
    """Refuse what was given of parameters that mean nothing here.

    Raises:
        ModelError: One is not None; the text names it.
    """
    for name, value in given.items():
        if value is not None:
            raise ModelError(f"{name} means nothing here", remedy=remedy)


def scorer_of(inference_config: InferenceConfig | None) -> InferenceConfig:
    """Return the configuration that is there.

    Raises:
        ScorerError: There is none.
    """
    if inference_config is None:
        raise ScorerError(
            "no inference_config was given, and a model alone does not say how it is asked",
            remedy="Write a score.py with init() and run(data): 'skerry module init --template "
            "onnx' has one. Then pass InferenceConfig('score.py', environment=…).",
        )
    return inference_config


def check_label(label: str) -> str:
    """Return a label of an image that Docker takes as a tag.

    Raises:
        NameInvalidError: It does not.
    """
    # OCI distribution specification 1.1, "Pulling manifests": the form of a tag.
    if re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", label) is None:
        raise NameInvalidError(
            f"image_label {label!r:.140} is no tag", remedy="Use letters, digits, '_', '.' and '-'."
        )
    return label


def _has(there: Mapping[str, str], wanted: Filters | None) -> bool:
    for one in wanted or ():
        key, value = (one, None) if isinstance(one, str) else (one[0], one[1])
        if key not in there or (value is not None and there[key] != value):
            return False
    return True
