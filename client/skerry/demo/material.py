"""Templates and manifests: in the installed wheel, or else in the checkout."""

from pathlib import Path

from skerry_contract.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent.parent
_CHECKOUT = _PACKAGE.parent.parent


def template(name: str) -> Path:
    """Return the folder of a module template.

    Raises:
        NotFoundError: There is none of that name.
    """
    return _find(_PACKAGE / "templates" / name, _CHECKOUT / "module-templates" / name)


def templates() -> list[str]:
    """Return the names of all module templates; none where none are installed."""
    places = (_PACKAGE / "templates", _CHECKOUT / "module-templates")
    marks = ("score.py", "Dockerfile")  # one in another language has no score.py
    return sorted(
        {one.parent.name for p in places for mark in marks for one in p.glob(f"*/{mark}")}
    )


def manifest(name: str) -> Path:
    """Return the file of an example manifest.

    Raises:
        NotFoundError: There is none of that name.
    """
    return _find(_PACKAGE / "manifests" / name, _CHECKOUT / "deploy-manifests" / name)


def _find(*places: Path) -> Path:
    for place in places:
        if place.exists():
            return place
    remedy = "Install Skerry anew, or run this from a complete checkout."
    raise NotFoundError(f"{places[-1]} is not there", remedy=remedy)
