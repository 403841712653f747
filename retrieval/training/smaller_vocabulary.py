"""A tokenizer with fewer tokens: those that the texts of a collection have.

Most tokens of a multilingual encoder are of other languages, and most of its weights are their vectors.  Texts whose
tokens are all kept are divided as before.  Special tokens stay, and single characters, so that unknown words are still
divided.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.errors import EncoderError

KINDS = ("WordPiece", "Unigram")  # of tokenizers whose tokens do not depend on each other
MARKS = ("##", "▁")  # of a token inside a word, and of one that begins a word
BLOCK = 1_024  # texts tokenised together


def frequent_tokens(folder: EncoderFolder, texts: Iterable[str]) -> Counter[int]:
    """Count the tokens of texts, by id."""
    counts: Counter[int] = Counter()
    tokenizer = TextTokenizer(folder)
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == BLOCK:
            counts.update(token for ids in tokenizer.ids(block) for token in ids)
            block = []
    counts.update(token for ids in tokenizer.ids(block) for token in ids)
    return counts


def kept_tokens(folder: EncoderFolder, counts: Mapping[int, int], max_tokens: int) -> list[int]:
    """Return ids in ascending order: special tokens, characters, frequent tokens.

    At most `max_tokens` ids, unless there are more special tokens and single characters of the texts.  Raises
    EncoderError for a kind of tokenizer whose tokens are built from each other.
    """
    record = _read(folder.transformer)
    kind = record["model"].get("type")
    if kind not in KINDS:
        raise EncoderError(
            f"{folder.path}: the vocabulary of a {kind} tokenizer cannot be made smaller, only that of "
            f"{' or '.join(KINDS)}; leave --vocabulary out, or choose another --base"
        )
    names = _token_names(record)
    special = {token["id"] for token in record.get("added_tokens", ())}
    special |= set(range(max(special & set(range(100)), default=-1) + 1))  # positions may be counted from such an id
    special |= {i for i, name in enumerate(names) if name == record["model"].get("unk_token")}
    seen = {character for token in counts if token < len(names) for character in _bare(names[token])}
    seen |= set(map(chr, range(33, 127)))
    characters = {i for i, name in enumerate(names) if name in MARKS or (len(_bare(name)) == 1 and _bare(name) in seen)}
    kept = special | characters
    for token, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(kept) >= max_tokens:
            break
        kept.add(token)
    return sorted(token for token in kept if token < len(names))


def write_smaller_tokenizer(folder: EncoderFolder, kept: Sequence[int], out: Path) -> None:
    """Write tokenizer.json with the tokens `kept`, numbered from 0, to `out`."""
    record = _read(folder.transformer)
    new = {old: i for i, old in enumerate(kept)}
    model, names = record["model"], _token_names(record)
    if model["type"] == "WordPiece":
        model["vocab"] = {names[old]: i for old, i in new.items()}
    else:
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        model["unk_id"] = new[model["unk_id"]]
    for token in record.get("added_tokens", ()):
        token["id"] = new[token["id"]]
    _renumber_ends(record.get("post_processor") or {}, new)
    if record.get("padding"):
        record["padding"]["pad_id"] = new.get(record["padding"]["pad_id"], 0)
    (out / "tokenizer.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def _renumber_ends(processor: dict[str, Any], new: Mapping[int, int]) -> None:
    """Give the tokens that begin and end a text their new ids."""
    for end in ("sep", "cls"):
        if isinstance(processor.get(end), list):
            processor[end][1] = new[processor[end][1]]
    special = processor.get("special_tokens")
    for token in special.values() if isinstance(special, dict) else ():
        token["ids"] = [new[old] for old in token["ids"]]
    for part in processor.get("processors", ()):
        _renumber_ends(part, new)


def _token_names(record: Mapping[str, Any]) -> list[str]:
    """Return the tokens by id, those outside the model included."""
    vocabulary = record["model"]["vocab"]
    if isinstance(vocabulary, dict):
        named = {i: name for name, i in vocabulary.items()}
    else:
        named = {i: name for i, (name, _) in enumerate(vocabulary)}
    named |= {token["id"]: token["content"] for token in record.get("added_tokens", ())}
    return [named.get(i, "") for i in range(max(named, default=-1) + 1)]


def _bare(name: str) -> str:
    """Return a token without the mark of its place in a word."""
    return next((name.removeprefix(mark) for mark in MARKS if name.startswith(mark)), name)


def _read(transformer: Path) -> dict[str, Any]:
    path = transformer / "tokenizer.json"
    if not path.is_file():
        raise EncoderError(f"{transformer}: tokenizer.json is missing, so --vocabulary cannot be used; leave it out")
    return dict(json.loads(path.read_text(encoding="utf-8")))
