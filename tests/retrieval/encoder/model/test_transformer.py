"""Compare every known architecture with transformers, on random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedModel

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.checkpoint.weights import load_transformer
from retrieval.encoder.model.model_shape import Architecture, LayerKind
from retrieval.encoder.model.packing import PackedLayout
from retrieval.encoder.model.transformer import Transformer, use_row_attention
from tests.retrieval.encoder.rows import in_rows

LENGTHS = (1, 2, 9, 9, 33, 70)
SMALL = {"vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}
BERTISH = SMALL | {"max_position_embeddings": 80, "initializer_range": 0.2}
MODERN = SMALL | {
    "local_attention": 8,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "bos_token_id": 1,
}
MODERN |= {"cls_token_id": 1, "sep_token_id": 2}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", BERTISH),
    "bert-relu": ("Bert", BERTISH | {"hidden_act": "relu", "type_vocab_size": 1}),
    "bert-tanh-gelu": ("Bert", BERTISH | {"hidden_act": "gelu_new", "layer_norm_eps": 1e-5}),
    "roberta": ("Roberta", BERTISH),
    "xlm-roberta": ("XLMRoberta", BERTISH | {"layer_norm_eps": 1e-5, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBert",
        {"vocab_size": 90, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 80}
        | {"initializer_range": 0.2},
    ),
    "mpnet": ("MPNet", BERTISH),
    "modernbert": ("ModernBert", MODERN),
    "modernbert-biased": ("ModernBert", MODERN | {"attention_bias": True, "mlp_bias": True, "norm_bias": True}),
    "modernbert-all-global": ("ModernBert", MODERN | {"global_attn_every_n_layers": 1}),
}


def random_model(family: str) -> PreTrainedModel:
    """Make a model of the family with random weights, norms and biases included."""
    name, settings = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**settings)
    config._attn_implementation = "eager"  # the simplest implementation
    model = getattr(transformers, f"{name}Model")(config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def ragged(lengths: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw random ids: (T,) end to end, and padded (B, L)."""
    ids = torch.randint(5, 90, (sum(lengths),), generator=torch.Generator().manual_seed(seed))
    return ids, torch.nn.utils.rnn.pad_sequence(ids.split(lengths), batch_first=True, padding_value=1)


@pytest.fixture(params=list(FAMILIES))
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[PreTrainedModel, Transformer]:
    """Make the model of transformers and ours with the same weights."""
    theirs = random_model(request.param)
    theirs.save_pretrained(tmp_path)
    return theirs, load_transformer(open_folder(tmp_path))


@torch.inference_mode()
def test_hidden_states_equal_transformers(pair: tuple[PreTrainedModel, Transformer]) -> None:
    theirs, ours = pair
    ids, padded = ragged(LENGTHS)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    expected = theirs(input_ids=padded, attention_mask=mask.long()).last_hidden_state[mask]
    assert (ours(ids, PackedLayout(LENGTHS)) - expected).abs().max() <= 1e-5
    exported = use_row_attention(ours)
    for length, shared in ((max(LENGTHS), False), (max(LENGTHS) + 6, True)):
        rows, targets = in_rows(LENGTHS, length, shared=shared)
        spread = (
            torch.ones(rows.texts.numel(), dtype=ids.dtype).index_copy(0, targets, ids).unflatten(0, rows.texts.shape)
        )
        assert (exported(spread, rows).flatten(0, 1)[targets] - expected).abs().max() <= 1e-5


@torch.inference_mode()
def test_a_text_does_not_attend_to_its_neighbours(pair: tuple[PreTrainedModel, Transformer]) -> None:
    _, ours = pair
    ids, _ = ragged(LENGTHS)
    together = ours(ids, PackedLayout(LENGTHS)).split(LENGTHS)
    for text, expected in zip(ids.split(LENGTHS), together, strict=True):
        assert (ours(text, PackedLayout([len(text)])) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("family", ["bert", "mpnet", "distilbert", "modernbert"])
@torch.inference_mode()
def test_attention_weights_equal_transformers(family: str, tmp_path: Path) -> None:
    theirs = random_model(family)
    theirs.save_pretrained(tmp_path)
    ours = load_transformer(open_folder(tmp_path))
    ids, _ = ragged((21,))
    expected = theirs(input_ids=ids[None], output_attentions=True).attentions
    weights: list[list[torch.Tensor]] = []
    ours(ids, PackedLayout([21]), weights=weights)
    assert len(weights) == len(expected)
    for found, layer in zip(weights, expected, strict=True):
        assert (found[0] - layer[0]).abs().max() <= 1e-5


@torch.inference_mode()
def test_long_texts_of_modernbert_take_the_block_path(tmp_path: Path) -> None:
    theirs = random_model("modernbert")
    theirs.save_pretrained(tmp_path)
    ids, _ = ragged((700,))
    expected = theirs(input_ids=ids[None]).last_hidden_state[0]
    assert (load_transformer(open_folder(tmp_path))(ids, PackedLayout([700])) - expected).abs().max() <= 1e-5


@torch.inference_mode()
def test_sinusoidal_positions_run_in_bfloat16() -> None:
    torch.manual_seed(0)
    shape = Architecture(90, 32, 4, 48, (LayerKind(),) * 2, max_positions=80, positions="sinusoidal")
    ours = Transformer(shape).eval()
    ids, _ = ragged(LENGTHS)
    exact = ours(ids, PackedLayout(LENGTHS))
    rounded = ours.to(torch.bfloat16)(ids, PackedLayout(LENGTHS)).float()
    assert torch.nn.functional.cosine_similarity(exact, rounded).min() >= 0.999


def test_weights_below_a_prefix_are_found(tmp_path: Path) -> None:
    """A checkpoint with a training head has "bert." before every name.

    It also has weights that the encoder does not use.
    """
    name, settings = FAMILIES["bert"]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**settings)
    theirs = transformers.BertForMaskedLM(config).eval()
    theirs.save_pretrained(tmp_path)
    ids, _ = ragged((5,))
    with torch.inference_mode():
        expected = theirs.bert(input_ids=ids[None]).last_hidden_state[0]
        assert (load_transformer(open_folder(tmp_path))(ids, PackedLayout([5])) - expected).abs().max() <= 1e-5
