"""PyTorch to ONNX: TorchScript and exported programs."""

from pathlib import Path
from typing import Any

import torch

from . import golden, samples
from .order import RefusedError, say, versions
from .samples import Input


def do(order: dict[str, Any]) -> dict[str, Any]:
    """Convert, and write ``result.onnx`` and ``samples.npz``."""
    folder = Path(order["folder"])
    say("loading the model")
    result = folder / "result.onnx"
    if order["form"] == "exported-program":
        program = torch.export.load(order["source"])
        inputs = program_inputs(program)
        about = golden.prepare(order, inputs)
        say("converting to ONNX")
        torch.onnx.export(program, (), str(result), dynamo=True, external_data=False)
    else:
        inputs = declared(order)
        about = golden.prepare(order, inputs)
        say("converting to ONNX")
        script(order["source"], folder, result)
    used = versions("torch", "onnx", "onnxscript", "onnxruntime")
    return {**about, "result": result.name, "versions": used}


def script(source: str, folder: Path, result: Path) -> None:
    """Export TorchScript, which says nothing of its inputs, as it runs on the first sample."""
    model = torch.jit.load(source, map_location="cpu").eval()
    arrays = samples.load(str(folder / "samples.npz"))
    first = tuple(torch.from_numpy(array[0]) for array in arrays.values())
    names = list(arrays)
    torch.onnx.export(
        model,
        first,
        str(result),
        dynamo=False,
        input_names=names,
        dynamic_axes={name: {0: "batch"} for name in names},
    )


def declared(order: dict[str, Any]) -> list[Input]:
    """Return the inputs of a model that does not declare them, from the golden set or the order.

    Raises:
        RefusedError: Neither says anything.
    """
    if shapes := order.get("input_shapes"):
        return [Input(f"input_{n}", (None, *shape), "float32") for n, shape in enumerate(shapes)]
    if given := order.get("golden"):
        return [
            Input(name, (None, *array.shape[1:]), array.dtype.name)
            for name, array in samples.arrays(Path(given)).items()
        ]
    raise RefusedError(
        "TorchScript does not say what inputs the model takes",
        "Give --golden FILE.npz, or --input-shape 3,224,224 once for each input.",
    )


def program_inputs(program: Any) -> list[Input]:
    """Return what an exported program takes."""
    taken = set(program.graph_signature.user_inputs)
    found = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in taken:
            value = node.meta["val"]
            rest = [size if isinstance(size, int) else None for size in value.shape[1:]]
            kind = str(value.dtype).removeprefix("torch.")
            found.append(Input(node.name, (None, *rest), kind))
    return found
