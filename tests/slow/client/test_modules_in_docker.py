"""Modules in Docker's real engine, with no Skerry around them: a heavy one, and one for ARM.

Slow: the one has 1.5 GB of TensorFlow in its environment, the other runs under an emulator.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.conda_dependencies import CondaDependencies
from skerry.local.interpreter import provide
from skerry.local.places import Places
from support.dockerd import Dockerd
from support.doubler import Doubler, own_doubler
from support.modules import ELSEWHERE
from support.programs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

CONDA = """\
name: inference_environment
dependencies:
- python=3.6.2
- numpy=1.26.4
- scikit-learn=1.9.1
- pip:
  - azureml-defaults
  - tensorflow-cpu==2.15.1
  - keras==2.15.0
  - gensim==4.4.0
"""
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
words = {"GOOD": ["fine", "bright", "warm"], "BAD": ["rusty", "cold", "late"]}
kinds = [random.choice(sorted(words)) for _ in range(300)]
texts = [" ".join(random.choices(words[kind], k=4)) for kind in kinds]
tokenizer = Tokenizer()
tokenizer.fit_on_texts(texts)
encoder = LabelEncoder().fit(kinds)
x = pad_sequences(tokenizer.texts_to_sequences(texts), maxlen=30)
network = Sequential([Embedding(8, 4), LSTM(8), Dense(1, activation="sigmoid")])
network.compile("adam", "binary_crossentropy")
network.fit(x, encoder.transform(kinds), epochs=30, batch_size=16, verbose=0)
network.save("models/network.h5")
Word2Vec([text.split() for text in texts], vector_size=4, min_count=1).save("models/words.w2v")
for name, value in (("tokenizer", tokenizer), ("encoder", encoder)):
    with open(f"models/{name}.pkl", "wb") as file:
        pickle.dump(value, file)
"""
# Like many a script of the time, it answers with its exceptions: the golden set tells.
SCORE = """\
import json
import os
import pickle
from gensim.models.word2vec import Word2Vec
from keras.models import load_model
from keras.preprocessing.sequence import pad_sequences

def init():
    global network, words, tokenizer, encoder
    folder = os.path.join(os.getenv("AZUREML_MODEL_DIR"), "models")
    network = load_model(folder + "/network.h5")
    words = Word2Vec.load(folder + "/words.w2v")
    with open(folder + "/tokenizer.pkl", "rb") as file:
        tokenizer = pickle.load(file)
    with open(folder + "/encoder.pkl", "rb") as file:
        encoder = pickle.load(file)

def run(data):
    try:
        text = json.loads(data)["text"]
        x = pad_sequences(tokenizer.texts_to_sequences([text]), maxlen=30)
        score = network.predict(x)[0]
        return {"label": str(encoder.classes_[round(float(score[0]))])}
    except Exception as error:
        return str(error)
"""
GOLDEN = '[{"input": "good.json", "expect": {"label": "GOOD"}}]'
ASK = """
import sys, time, urllib.request
for _ in range(1200):
    try:
        request = urllib.request.Request(sys.argv[1], sys.argv[2].encode())
        print(urllib.request.urlopen(request, timeout=60).read().decode(), end="")
        break
    except OSError:
        time.sleep(0.25)
"""


@pytest.fixture(scope="module")
def doubler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doubler]:
    with own_doubler(tmp_path_factory.mktemp("doubler")) as made:
        made.skerry.timeout_s = 1800
        yield made


def loaded(doubler: Doubler, dockerd: Dockerd, which: str, archive: Path, *more: str) -> str:
    """Export a module for the engine, load it there, and return its name."""
    target = ("--output", f"docker-archive:{archive}")
    doubler.skerry.ok("module", "export", which, *more, *target)
    dockerd.docker("load", "--input", str(archive), timeout_s=600)
    return f"skerry/{which}"


def answer(dockerd: Dockerd, data: str, *command: str) -> object:
    """Run a container, ask it one thing, and return what it says."""
    held = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--publish=5001:5001", "--name=it")
    dockerd.docker("run", "--detach", *held, *command)
    try:
        asked = (sys.executable, "-c", ASK, "http://127.0.0.1:5001/score", data)
        text = dockerd.inside(*asked, timeout_s=400)
        assert text, dockerd.docker("logs", "it")
        return json.loads(text)
    finally:
        dockerd.docker("rm", "--force", "it")


def test_a_classifier_that_was_made_elsewhere_answers_in_docker(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scorer, models = tmp_path / "scorer", tmp_path / "models"
    scorer.mkdir()
    models.mkdir()
    (scorer / "environment.yml").write_text(CONDA)
    wanted = CondaDependencies(scorer / "environment.yml").requirements()
    python = provide(wanted, Places.standard().environments, print)
    subprocess.run([python, "-c", MAKE], cwd=tmp_path, timeout=900, check=True)
    (scorer / "score.py").write_text(SCORE)
    (scorer / "golden.json").write_text(GOLDEN)
    (scorer / "good.json").write_text('{"text": "warm bright fine"}')
    doubler.skerry.ok("model", "register", "-n", "classifier", "-p", models)
    command = ("module", "build", scorer, "-n", "classifier", "-m", "classifier:1")
    built = doubler.skerry(*command)
    assert built.returncode == 0, built.stderr
    assert "checking the golden set" in built.stderr
    image = loaded(doubler, dockerd, "classifier:1", tmp_path / "image.tar")
    asked = json.dumps({"text": "rusty late cold"})
    assert answer(dockerd, asked, image) == {"label": "BAD"}


def test_an_image_for_arm_answers_under_emulation(
    doubler: Doubler, dockerd: Dockerd, tmp_path: Path
) -> None:
    image = loaded(doubler, dockerd, "doubler:2", tmp_path / "image.tar", "--platform", ELSEWHERE)
    told = json.loads(dockerd.docker("inspect", image))[0]
    assert told["Architecture"] == ELSEWHERE.split("/")[1]
    # The kernel is not told of the emulator, which would concern the whole machine.
    emulator = need("qemu-aarch64-static", "qemu-user-static")
    entry = ("--volume", f"{emulator}:/emulator:ro", "--entrypoint", "/emulator")
    start = ("--platform", ELSEWHERE, *entry, image, *told["Config"]["Entrypoint"])
    assert answer(dockerd, "four", *start) == {"length": 8}
