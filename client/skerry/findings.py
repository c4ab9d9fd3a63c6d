"""What the formats of a model's files say, for people."""

from collections.abc import Iterator

from rich.table import Table

from skerry.answers import Finding, Model, ModelResources, Tensor
from skerry.output import Output

MAX_LINES = 20
"""Files that are told one by one."""
LABEL = "executes code on load"


def told(output: Output, model: Model) -> Iterator[str | Table]:
    """Yield what a model's files are, and what they take and give."""
    known = model.findings[:MAX_LINES]
    if known:
        rows = [(one.path, one.format, _about(one)) for one in known]
        yield ""
        yield output.table(("FILE", "FORMAT", "ABOUT"), rows)
    tensors = [
        (found.path, way, one.name, one.dtype, _shape(one))
        for found in known
        for way, side in (("input", found.inputs), ("output", found.outputs))
        for one in side[:MAX_LINES]
    ]
    if tensors:
        yield ""
        # Of a single file there is no need to say whose they are.
        first = 0 if len({row[0] for row in tensors}) > 1 else 1
        columns = ("FILE", "", "NAME", "TYPE", "SHAPE")
        yield output.table(columns[first:], [row[first:] for row in tensors])


def warnings(model: Model) -> Iterator[str]:
    """Yield a line for each file that is empty or can execute code when it is loaded."""
    for empty in [one for one in model.files if not one.size][:MAX_LINES]:
        yield f"warning: {empty.path} holds no bytes; is it a whole copy?"
    dangerous = [one for one in model.findings if one.executes_code]
    for one in dangerous[:MAX_LINES]:
        yield f"warning: {one.path} {LABEL}: {one.executes_code}"
    if len(dangerous) > MAX_LINES:
        yield f"warning: and {len(dangerous) - MAX_LINES} more files"
    if dangerous:
        yield (
            "Load it only if you trust who made it. A deployment needs the line "
            "allow_code_in_models: true in its module."
        )


def resources_text(resources: ModelResources) -> str:
    """Return what a model needs, as it was given."""
    given = (("cpu", resources.cpu), ("GiB", resources.memory_gb), ("gpu", resources.gpu))
    return ", ".join(f"{value:g} {name}" for name, value in given if value is not None)


def _about(found: Finding) -> str:
    facts = {
        key: value for key, value in found.facts.items() if str(value) not in found.executes_code
    }
    said = ", ".join(f"{key} {value}" for key, value in facts.items())
    label = f"{LABEL}: {found.executes_code}" if found.executes_code else ""
    return "; ".join(part for part in (label, said) if part)


def _shape(tensor: Tensor) -> str:
    return " x ".join("?" if size < 0 else str(size) for size in tensor.shape)
