"""Make encoder folders: small random models with the default encoder's tokenizer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from retrieval.encoder.checkpoint.hub import locate
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from tests.conftest import BatchMemory

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")

MakeFolder = Callable[..., Path]

TEXTS = (
    "The liver stores glycogen.",
    "",
    "Short",
    "Insulin lowers blood glucose; glucagon raises it again when a meal is long past.",
    "ÅNGSTRÖM naïve café 東京 \u0301combining 🙂",
    " ".join(f"word{i} of a long text that goes on" for i in range(120)),
)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give these tests a cache of converted encoders of their own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("ATTENDEX_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _run_each_batch(batch_memory: BatchMemory) -> Iterator[None]:
    batch_memory.on = False
    yield
    batch_memory.on = True


@pytest.fixture(scope="session")
def default_folder() -> Path:
    return locate("all-MiniLM-L6-v2")


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    """Load the default encoder in the reference runtime."""
    return load_encoder(runtime="torch", precision="f32")


@pytest.fixture
def texts() -> Sequence[str]:
    return TEXTS


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory, default_folder: Path) -> MakeFolder:
    """Return a function that writes an encoder folder with a tiny BERT.

    `pooling`, `outer` and `own` are the contents of its JSON files.
    """

    def make(
        pooling: dict[str, Any] | None = None,
        *,
        outer: dict[str, Any] | None = None,
        modules: Sequence[tuple[str, str]] = (),
        own: dict[str, Any] | None = None,
        transformer: str = "",
        era: str = "sentence_transformers.models.",
        seed: int = 0,
    ) -> Path:
        root = tmp_path_factory.mktemp("encoder")
        inner = root / transformer
        save_bert(inner, seed)
        for name in TOKENIZER_FILES:
            shutil.copy(default_folder / name, inner / name)
        write(inner / "sentence_bert_config.json", own or {"max_seq_length": 64, "do_lower_case": False})
        write(root / "config_sentence_transformers.json", outer or {"__version__": {}})
        write(root / "1_Pooling" / "config.json", pooling or {"word_embedding_dimension": 32})
        listed = [("Transformer", transformer), ("Pooling", "1_Pooling"), *(modules or [("Normalize", "2_Normalize")])]
        write(
            root / "modules.json",
            [{"idx": i, "name": str(i), "path": path, "type": era + kind} for i, (kind, path) in enumerate(listed)],
        )
        return root

    return make


def save_bert(folder: Path, seed: int = 0) -> None:
    """Save a BERT of 2 layers and width 32 with random weights."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)


def write(path: Path, value: Any) -> None:
    """Write JSON and make its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
