"""A text classifier of Keras, word2vec and pickles, made elsewhere: registered and served.

Slow, for its environment holds 1.5 GB of TensorFlow.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.conda_dependencies import CondaDependencies
from skerry.environment import Environment
from skerry.local.interpreter import provide
from skerry.local.places import Places
from skerry.model import InferenceConfig, Model
from skerry.webservice import LocalWebservice, Webservice
from skerry.workspace import Workspace
from support.cloud_server import CloudServer

MAKE = """\
import pickle
import random
from gensim.models.word2vec import Word2Vec
from keras.layers import LSTM, Dense, Embedding
from keras.models import Sequential
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer
from keras.utils import set_random_seed
from sklearn.preprocessing import LabelEncoder

set_random_seed(7)
kinds = {"POSITIVE": ["great", "happy", "sunny"], "NEGATIVE": ["awful", "sad", "broken"]}
labels = [random.choice(sorted(kinds)) for _ in range(300)]
texts = [" ".join(random.choices(kinds[one], k=4)) for one in labels]
Word2Vec([t.split() for t in texts], vector_size=4, min_count=1).save("models/model.w2v")
tokenizer = Tokenizer()
tokenizer.fit_on_texts(texts)
encoder = LabelEncoder().fit(labels)
for name, value in (("tokenizer", tokenizer), ("encoder", encoder)):
    with open(f"models/{name}.pkl", "wb") as file:
        pickle.dump(value, file)
x = pad_sequences(tokenizer.texts_to_sequences(texts), maxlen=8)
model = Sequential([Embedding(8, 4), LSTM(8), Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy")
model.fit(x, encoder.transform(labels), epochs=30, batch_size=16, verbose=0)
model.save("models/model.h5")
"""
SCRIPT = """\
import json
import os
import pickle
from gensim.models.word2vec import Word2Vec
from keras.models import load_model
from keras.preprocessing.sequence import pad_sequences

def init():
    global network, tokenizer, encoder, words
    folder = os.path.join(os.getenv("AZUREML_MODEL_DIR"), "models")
    network = load_model(folder + "/model.h5")
    words = Word2Vec.load(folder + "/model.w2v")
    with open(folder + "/tokenizer.pkl", "rb") as file:
        tokenizer = pickle.load(file)
    with open(folder + "/encoder.pkl", "rb") as file:
        encoder = pickle.load(file)

def run(data):
    text = json.loads(data)["text"]
    score = float(network.predict(pad_sequences(tokenizer.texts_to_sequences([text]), maxlen=8))[0])
    return {"label": str(encoder.inverse_transform([round(score)])[0]), "score": score}
"""


@pytest.fixture(name="packages")
def packages_fixture() -> CondaDependencies:
    made = CondaDependencies()
    made.add_conda_package("numpy=1.26.4")
    made.add_conda_package("scikit-learn")
    for line in ("azureml-defaults", "tensorflow-cpu==2.15.1", "keras==2.15.0", "gensim==4.4.0"):
        made.add_pip_package(line)
    return made


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with CloudServer(tmp_path / "server") as running:
        yield Workspace.from_config(running.ready.login)
        for service in Webservice.list():
            service.delete()


@pytest.mark.timeout(1800)
def test_a_model_that_was_made_elsewhere_is_served(
    ws: Workspace, tmp_path: Path, packages: CondaDependencies
) -> None:
    (tmp_path / "models").mkdir()
    python = provide(packages.requirements(), Places.standard().environments, print)
    assert python != Path(sys.executable)
    subprocess.run([python, "-c", MAKE], cwd=tmp_path, timeout=600, check=True)
    (tmp_path / "score.py").write_text(SCRIPT)

    model = Model.register(model_path="./models", model_name="sentiment", workspace=ws)
    environment = Environment("text")
    environment.python.conda_dependencies = packages
    config = InferenceConfig(entry_script="score.py", environment=environment)
    target = LocalWebservice.deploy_configuration()
    service = Model.deploy(ws, "texts", [model], config, target)
    service.wait_for_deployment(True)
    assert isinstance(service, LocalWebservice)
    for text, label in (("great happy sunny", "POSITIVE"), ("awful sad broken", "NEGATIVE")):
        assert service.run(json.dumps({"text": text}))["label"] == label
