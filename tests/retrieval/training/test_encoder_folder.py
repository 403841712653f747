"""A trained encoder is written as a folder that we and sentence-transformers read alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.loading import load_encoder
from retrieval.errors import EncoderError
from retrieval.training.averaging import averaged, take_average
from retrieval.training.encoder_folder import write_encoder
from retrieval.training.trainable import TrainableEncoder
from tests.retrieval.encoder.conftest import MakeFolder
from tests.retrieval.training.conftest import TEXTS


def change(encoder: TrainableEncoder) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


@pytest.mark.parametrize("transformer", ["", "0_Transformer"])
def test_the_folder_has_the_vectors_of_the_training(tmp_path: Path, make_folder: MakeFolder, transformer: str) -> None:
    encoder = TrainableEncoder(open_folder(make_folder(transformer=transformer)))
    base = encoder.encode(encoder.passage_ids(TEXTS, 64))
    change(encoder)
    expected = encoder.encode(encoder.passage_ids(TEXTS, 64))
    write_encoder(encoder, tmp_path / "out", "# card\n", {"share": 1.0})
    ours = load_encoder(tmp_path / "out", runtime="torch", precision="f32").encode_passages(TEXTS)
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(list(TEXTS))
    assert (ours * theirs).sum(1).min() >= 0.99999
    assert (ours * base).sum(1).max() < 0.999
    assert (tmp_path / "out" / "README.md").read_text(encoding="utf-8") == "# card\n"


def test_an_existing_folder_is_refused(tmp_path: Path, tiny: TrainableEncoder) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(EncoderError, match="exists already"):
        write_encoder(tiny, tmp_path, "", {})


def test_averages_lie_between_base_and_trained(tiny: TrainableEncoder) -> None:
    base = tiny.weights()
    change(tiny)
    trained = tiny.weights()
    half = averaged(base, trained, 0.5)
    for name, tensor in half.items():
        torch.testing.assert_close(tensor, (base[name] + trained[name]) / 2)
    for share, expected in ((0.0, base), (1.0, trained)):
        take_average(tiny, base, trained, share)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in tiny.weights().items())
