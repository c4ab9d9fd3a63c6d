"""Models that were made just now, by the libraries that make such models."""

import subprocess
from pathlib import Path

import pytest

from skerry.convert.families import Families

MAKE = """
import sys, pickle, joblib, numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

folder = sys.argv[1]
x, y = load_iris(return_X_y=True)
names = np.array(["setosa", "versicolor", "virginica"])[y]
joblib.dump(RandomForestClassifier(5, random_state=0).fit(x, names), f"{folder}/iris.joblib")
with open(f"{folder}/line.pkl", "wb") as file:
    pickle.dump(LinearRegression().fit(x[:, :3], x[:, 3]), file)
with open(f"{folder}/other.pkl", "wb") as file:
    pickle.dump({"no": "estimator"}, file)
np.savez(f"{folder}/iris.npz", input=x.astype("float32"))

rng = np.random.default_rng(0)
weights = numpy_helper.from_array(rng.standard_normal((64, 200)).astype("f"), "w")
more = numpy_helper.from_array(rng.standard_normal((200, 5)).astype("f"), "v")
nodes = [("MatMul", "x w", "h"), ("Relu", "h", "r"), ("MatMul", "r v", "y"), ("Softmax", "y", "p")]
graph = helper.make_graph(
    [helper.make_node(op, taken.split(), [given]) for op, taken, given in nodes],
    "mlp",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
    [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 5])],
    [weights, more],
)
opset = [helper.make_opsetid("", 17)]
onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), f"{folder}/mlp.onnx")
inputs = rng.standard_normal((100, 64)).astype("f")
np.savez(f"{folder}/mlp.npz", x=inputs)
np.savez(f"{folder}/far-off.npz", x=inputs * 1e-4)
"""


@pytest.fixture(scope="session")
def converters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converters")


@pytest.fixture(scope="session")
def models(converters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = Families(converters, print).provide("sklearn")
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([python, "-I", "-c", MAKE, folder], check=True, timeout=120)
    return folder
