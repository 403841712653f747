"""`attendex train`: an encoder from nothing, which matches what it has seen together."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.adapting.train import TrainConfig, read_config, train_encoder
from retrieval.encoder.loading import load_encoder
from retrieval.errors import InputError
from retrieval.training.new_encoder import MASK, train_vocabulary
from service.cli import app

CONCEPTS = 24
ASKED = [f"a{chr(97 + i)}ko" for i in range(CONCEPTS)]  # the name of each concept in questions
TOLD = [f"zu{chr(97 + i)}li" for i in range(CONCEPTS)]  # and in texts
CONFIG = """
threads = 1
[vocabulary]
size = 400
[encoder]
width = 64
layers = 2
heads = 4
inner = 128
positions = "POSITIONS"
max_tokens = 64
[masked_words]
steps = 30
batch = 16
rate = 2e-3
[contrastive]
steps = 80
batch = 32
rate = 1e-3
pairs = ["question"]
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write questions and answers that have no word in common."""
    path = tmp_path_factory.mktemp("train") / "corpus.jsonl"
    dice = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for i in range(400):
            chosen = dice.sample(range(CONCEPTS), 3)
            question = f"Which are {' '.join(ASKED[each] for each in chosen)}?"
            answer = f"There is {' '.join(TOLD[each] for each in chosen for _ in range(3))} here."
            file.write(json.dumps({"id": f"d{i}", "text": f"{question} {answer}"}) + "\n")
    return path


def test_equal_texts_give_equal_vocabularies() -> None:
    texts = [f"{first} {second}{first}" for first in ASKED for second in TOLD]
    tokenizers = [train_vocabulary(texts, 120, 64) for _ in range(4)]
    vocabularies = [tokenizer.get_vocab() for tokenizer in tokenizers]
    assert all(vocabulary == vocabularies[0] for vocabulary in vocabularies)
    assert len(vocabularies[0]) == 120
    assert tokenizers[0].encode(f"{MASK} {ASKED[0]}").ids[1] == vocabularies[0][MASK]


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_a_new_encoder_beats_random_weights(corpus: Path, tmp_path: Path, positions: str) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG.replace("POSITIONS", positions), encoding="utf-8")
    out = tmp_path / "encoders" / "tiny"  # its parent does not exist
    words = ["train", str(corpus), "--config", str(config), "--out", str(out), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output + str(result.exception)
    report = json.loads(result.stdout)
    assert report["after"] > 3 * report["before"]
    encoder = load_encoder(out, runtime="torch", precision="f32")
    asked = encoder.encode_passages([f"which are {name}" for name in ASKED])
    told = encoder.encode_passages([f"there is {name}" for name in TOLD])
    assert (asked @ told.T).diagonal().mean() > (asked @ told.T).mean() + 0.1  # each concept by its two names
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[encoder]\nwitdh = 3", "there is no 'witdh'"),
        ("[encoder]\nwidth = 'wide'", "width is 'wide'; give a int"),
        ("seed = -1", "no negative number"),
        ("[encoder", "Expected"),
    ],
)
def test_a_wrong_configuration_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[encoder]\nwidth = 10000000", "width is 10000000; give 1 to 4,096"),
        ("[encoder]\nheads = 0", "heads is 0; give 1 to 64"),
        ("[encoder]\nwidth = 32\nheads = 3", "cannot be divided among 3 heads; give a multiple of 6"),
        ("[contrastive]\nbatch = 0", r"\[contrastive\]: batch is 0"),
        ("[contrastive]\npairs = ['titel']", "no kind 'titel'"),
    ],
)
def test_wrong_sizes_are_refused_before_the_documents_are_read(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        train_encoder([tmp_path / "missing.jsonl"], read_config(path), tmp_path / "out", lambda *_: None)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml cannot be read \(No such file or directory\)"):
        read_config(tmp_path / "none.toml")


def test_the_defaults_are_those_of_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("", encoding="utf-8")
    assert read_config(path) == TrainConfig()


def test_too_few_documents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('{"id": "a", "text": "One. Two. Three."}', encoding="utf-8")
    result = CliRunner().invoke(app, ["train", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "pairs; at least 64" in " ".join(result.output.split())
