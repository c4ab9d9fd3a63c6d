"""Where a registered model lies, asked by its name: ``Model.get_model_path`` of azureml-core."""

import os
from pathlib import Path

__all__ = ["Model"]

FOLDER = "azureml-models"


class Model:
    """What an entry script may ask of a model: where its files are."""

    @staticmethod
    def get_model_path(
        model_name: str, version: int | str | None = None, _workspace: object = None
    ) -> str:
        """Return the path of a model: its one file or folder, or the folder of its version.

        Args:
            model_name: As it was registered.
            version: Which; the highest that is here without it.

        Raises:
            FileNotFoundError: It is not here; the text names what is.
        """
        root = _models_folder(model_name)
        versions = root / model_name
        if version is None:
            numbers = [p.name for p in versions.glob("*") if p.name.isdigit()]
            version = max(numbers, key=int, default="")
        folder = versions / str(version)
        if not version or not folder.is_dir():
            here = sorted(str(p.relative_to(root)) for p in root.glob("*/*"))
            raise FileNotFoundError(f"no model {model_name}:{version} in {root}, which has {here}")
        files = list(folder.iterdir())
        return str(files[0] if len(files) == 1 else folder)


def _models_folder(model_name: str) -> Path:
    """Return the folder of ``<name>/<version>``: the variable names it, or a version in it."""
    own = Path(os.environ.get("AML_APP_ROOT") or ".") / FOLDER
    told = Path(os.environ.get("AZUREML_MODEL_DIR") or own)
    places = (told, told.parent.parent, own)
    return next((place for place in places if (place / model_name).is_dir()), own)
