"""A student's folder: fewer layers, fewer tokens, shorter vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing

from retrieval.encoder.checkpoint.model_folder import EncoderFolder, open_folder
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError, InputError
from retrieval.training.distillation import principal_projection, projected
from retrieval.training.smaller_vocabulary import frequent_tokens, kept_tokens
from retrieval.training.student_folder import StudentShape, check_shape, picked_layers, write_student
from retrieval.training.trainable import TrainableEncoder
from retrieval.types import Vectors
from tests.retrieval.encoder.conftest import MakeFolder
from tests.retrieval.training.conftest import TEXTS


def vectors(folder: Path, texts: Sequence[str] = TEXTS) -> Vectors:
    """Return our vectors, which sentence-transformers gives alike."""
    ours = load_encoder(folder, runtime="torch", precision="f32").encode_passages(texts)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(list(texts), normalize_embeddings=True)
    assert (ours * theirs).sum(1).min() >= 0.99999
    return ours


def unigram(folder: Path) -> EncoderFolder:
    """Give a folder a tokenizer as that of XLM-R, of words and characters."""
    words = sorted({word for text in TEXTS for word in text.split()})
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -9.0)]
    pieces += [(f"▁other{i}", -3.0) for i in range(50)]  # of another language
    pieces += [(f"▁{word}", -2.0) for word in words] + [(letter, -8.0) for letter in map(chr, range(33, 127))]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    for old in ("vocab.txt", "special_tokens_map.json"):
        (folder / old).unlink(missing_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {f"{kind}_token": f"<{name}>" for kind, name in (("pad", "pad"), ("unk", "unk"), ("mask", "mask"))}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return open_folder(folder)


def test_layers_lie_at_equal_distances_and_the_last_is_one() -> None:
    assert picked_layers(12, 6) == [1, 3, 5, 7, 9, 11]
    assert picked_layers(6, 4) == [0, 2, 3, 5]


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram"])
def test_texts_of_kept_tokens_keep_their_vectors(tmp_path: Path, make_folder: MakeFolder, kind: str) -> None:
    path = make_folder()
    folder = unigram(path) if kind == "Unigram" else open_folder(path)
    kept = kept_tokens(folder, frequent_tokens(folder, TEXTS), 100_000)
    assert len(kept) < (170 if kind == "Unigram" else 600)
    write_student(folder, StudentShape(tokens=kept), None, tmp_path)
    student = open_folder(tmp_path)
    assert student.architecture is not None
    assert student.architecture.vocabulary == len(kept)
    np.testing.assert_allclose(vectors(tmp_path), vectors(path), atol=1e-6)
    [unknown] = TrainableEncoder(student).passage_ids(["unheardof"], 64)
    assert len(unknown) > 4  # it is divided into characters


def test_the_rarest_tokens_go_first(make_folder: MakeFolder) -> None:
    folder = open_folder(make_folder())
    least = kept_tokens(folder, {}, 0)
    counts = frequent_tokens(folder, ["liver liver liver glucose glucose insulin"])
    names = [(kept_tokens(folder, counts, len(least) + more), more) for more in range(4)]
    assert [len(kept) - len(least) for kept, _ in names] == [0, 1, 2, 3]


def test_layers_and_dimension(tmp_path: Path, make_folder: MakeFolder) -> None:
    path = make_folder()
    folder = open_folder(path)
    full = vectors(path)
    projection = principal_projection(full, 8)
    write_student(folder, StudentShape(), projection, tmp_path / "short")
    np.testing.assert_allclose(vectors(tmp_path / "short"), projected(full, projection), atol=1e-5)
    write_student(folder, StudentShape(layers=1), None, tmp_path / "shallow")
    shallow = TrainableEncoder(open_folder(tmp_path / "shallow"))
    last = TrainableEncoder(folder).transformer.layers[-1].state_dict()
    assert all(torch.equal(last[name], each) for name, each in shallow.transformer.layers[0].state_dict().items())


def test_a_projection_keeps_inner_products_best() -> None:
    dice = np.random.default_rng(0)
    low = dice.normal(size=(40, 3)).astype(np.float32)
    wide = low @ dice.normal(size=(3, 10)).astype(np.float32)
    found = wide @ principal_projection(wide, 3).numpy().T
    np.testing.assert_allclose(found @ found.T, wide @ wide.T, rtol=1e-3, atol=1e-3)


def test_sizes_that_the_teacher_cannot_give_are_refused(make_folder: MakeFolder) -> None:
    folder = open_folder(make_folder())
    with pytest.raises(InputError, match="has 2 layers; choose 1 to 1"):
        check_shape(folder, 2, 0)
    with pytest.raises(InputError, match="vectors of 32 numbers"):
        check_shape(folder, 0, 32)


def test_tokens_that_depend_on_each_other_are_refused(make_folder: MakeFolder) -> None:
    path = make_folder()
    record = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    record["model"]["type"] = "BPE"
    (path / "tokenizer.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(EncoderError, match="a BPE tokenizer cannot be made smaller"):
        kept_tokens(open_folder(path), {}, 10)
