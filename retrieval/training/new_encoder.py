"""A new encoder: a vocabulary from texts, and random weights of our own shape.

The vocabulary is of word pieces (Wu et al. 2016), by the tokenizers library.  It divides Chinese into characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer
from torch import nn

from retrieval.encoder.checkpoint.architectures import read_architecture
from retrieval.encoder.model.transformer import Transformer
from retrieval.errors import InputError

PAD, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PAD, UNKNOWN, START, END, MASK)
INSIDE = "##"  # begins a piece inside a word
DEVIATION = 0.02  # of random weights, as in BERT
SINUSOIDAL_DEVIATION = 0.5  # of token vectors beside sinusoids, which would hide smaller ones
POSITIONS = ("rotary", "sinusoidal", "learned")
ROTARY_BASE = 10_000.0
MAX_SIZES = {"width": 4_096, "layers": 64, "heads": 64, "inner": 16_384, "max_tokens": 8_192}


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The size of a new encoder."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    inner: int = 512
    positions: str = "rotary"
    max_tokens: int = 128

    def architecture(self, vocabulary: int) -> dict[str, Any]:
        """Return the fields of config.json.  Raises InputError for wrong values."""
        self._check_sizes()
        if self.positions not in POSITIONS:
            raise InputError(f"positions are {self.positions!r}; choose one of {', '.join(POSITIONS)}")
        rotary = self.positions == "rotary"
        return {
            "vocabulary": vocabulary,
            "width": self.width,
            "heads": self.heads,
            "inner": self.inner,
            "layers": [{"window": None, "rotary_base": ROTARY_BASE if rotary else 0.0}] * self.layers,
            "max_positions": self.max_tokens,
            "positions": "none" if rotary else self.positions,
        }

    def _check_sizes(self) -> None:
        for name, limit in MAX_SIZES.items():
            if not 1 <= getattr(self, name) <= limit:
                raise InputError(f"[encoder]: {name} is {getattr(self, name)}; give 1 to {limit:,}")
        if self.width % (2 * self.heads):
            raise InputError(
                f"[encoder]: a width of {self.width} cannot be divided among {self.heads} heads; "
                f"give a multiple of {2 * self.heads}"
            )


def make_encoder(out: Path, texts: Iterable[str], vocabulary: int, shape: EncoderShape, seed: int) -> None:
    """Write an encoder folder with random weights to the existing folder `out`."""
    tokenizer = train_vocabulary(texts, vocabulary, shape.max_tokens)
    tokenizer.save(str(out / "tokenizer.json"))
    config = {"model_type": "attendex", "architecture": shape.architecture(tokenizer.get_vocab_size())}
    _write(out / "config.json", config)
    _write(out / "tokenizer_config.json", {"model_max_length": shape.max_tokens, "mask_token": MASK})
    _write(out / "sentence_bert_config.json", {"max_seq_length": shape.max_tokens, "do_lower_case": False})
    _write(out / "config_sentence_transformers.json", {"__version__": {}, "similarity_fn_name": "cosine"})
    _write(
        out / "1_Pooling" / "config.json", {"word_embedding_dimension": shape.width, "pooling_mode_mean_tokens": True}
    )
    parts = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    named = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(parts)
    ]
    _write(out / "modules.json", named)
    architecture = read_architecture(config)
    assert architecture is not None, "the fields are those of our own architecture"
    torch.manual_seed(seed)
    transformer = Transformer(architecture)
    for module in transformer.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=DEVIATION)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    if architecture.positions == "sinusoidal":
        nn.init.normal_(transformer.embeddings.words.weight, std=SINUSOIDAL_DEVIATION)
    save_file(transformer.state_dict(), out / "model.safetensors", {"format": "pt"})


def train_vocabulary(texts: Iterable[str], size: int, max_tokens: int) -> Tokenizer:
    """Learn word pieces from texts: the same pieces and ids each time.

    The trainer numbers characters in the order of a hash table, and ties between pieces follow these numbers.  So the
    characters get their numbers here, in the place of special tokens.
    """
    texts = list(texts)
    normalizer, divider = BertNormalizer(lowercase=True), BertPreTokenizer()
    words = {word for text in texts for word, _ in divider.pre_tokenize_str(normalizer.normalize_str(text))}
    inner = {character for word in words for character in word[1:]}
    alphabet = [*sorted({word[0] for word in words}), *sorted(INSIDE + character for character in inner)]
    learnt = Tokenizer(WordPiece(unk_token=UNKNOWN))
    learnt.normalizer, learnt.pre_tokenizer = normalizer, divider
    trainer = WordPieceTrainer(vocab_size=size, special_tokens=[*SPECIAL, *alphabet], show_progress=False)
    learnt.train_from_iterator(texts, trainer)
    tokenizer = Tokenizer(WordPiece(learnt.get_vocab(with_added_tokens=False), unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, divider
    tokenizer.add_special_tokens(list(SPECIAL))
    ends = [(name, tokenizer.token_to_id(name)) for name in (START, END)]
    tokenizer.post_processor = TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
