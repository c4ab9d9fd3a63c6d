"""Train the model: python make_model.py FOLDER; needs what environment.txt lists."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: Path) -> None:
    """Train on Fisher's irises, and write ``iris.joblib``."""
    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(data.data, data.target_names[data.target])
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "iris.joblib")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
