"""Text to token ids for the encoder, and to code-point offsets for those who cut and highlight text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.model_folder import EncoderFolder, digest_of, read_json, refuse_remote_code
from retrieval.errors import EncoderError, UnsupportedCheckpoint

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

CHARACTERS_PER_TOKEN = (6, 16)  # most texts have fewer, nearly all: longer ones are cut there before they are tokenised
INLINE_CHARACTERS = 2_048
VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json")


class TextTokenizer:
    """The folder's tokenizer.  Safe to call from several threads; batches run in parallel without the GIL."""

    def __init__(self, folder: EncoderFolder) -> None:
        self._folder = folder
        self._cutting = load_tokenizer(folder)
        side = read_json(folder.transformer / "tokenizer_config.json").get("truncation_side", "right")
        self._cutting.enable_truncation(max_length=folder.max_tokens, direction=side)
        self._keeps_start = side == "right"
        self.special_tokens = self._cutting.num_special_tokens_to_add(is_pair=False)
        # the longer prompt decides, so that a passage is cut alike whatever it is used as
        prompts = (folder.query_prompt, folder.passage_prompt)
        self.max_tokens = folder.max_tokens - self.special_tokens - max(self._content_tokens(each) for each in prompts)
        if self.max_tokens < 1:
            raise EncoderError(f"{folder.path}: its prompts leave no room for text in {folder.max_tokens} tokens")

    @cached_property
    def _whole(self) -> Tokenizer:
        """The same tokenizer, which cuts nothing; big vocabularies take time, so it is made when asked for."""
        return load_tokenizer(self._folder)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids with special tokens, cut at the encoder's limit."""
        return self._ids(texts, CHARACTERS_PER_TOKEN if self._keeps_start else ())

    def _ids(self, texts: Sequence[str], cuts: Sequence[int]) -> list[list[int]]:
        """From the starts of long texts; one that did not fill the limit says nothing about the rest: the next cut."""
        most = self._folder.max_tokens
        limit = cuts[0] * most if cuts else None
        found = [one.ids for one in self._encoded([_start(text, limit) for text in texts])]
        short = [i for i, text in enumerate(texts) if _is_cut(text, limit) and len(found[i]) < most]
        if short:
            for i, ids in zip(short, self._ids([texts[i] for i in short], cuts[1:]), strict=True):
                found[i] = ids
        return found

    def _encoded(self, texts: list[str]) -> list[Encoding]:
        """Few short texts here and now: waking the library's threads takes longer than they do."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return [self._cutting.encode(text) for text in texts]
        return self._cutting.encode_batch_fast(texts)

    def encoding(self, text: str) -> Encoding:
        """One text as `ids` reads it: pieces with their offsets and words."""
        return self._cutting.encode(text)

    def whole_encoding(self, text: str) -> Encoding:
        """One text with special tokens, uncut."""
        return self._whole.encode(text)

    def token_id(self, token: str) -> int | None:
        """The id of a token of the vocabulary."""
        number: int | None = self._whole.token_to_id(token)
        return number

    def spans(self, text: str) -> NDArray[np.int32]:
        """Code-point offsets of the tokens of `text` without special tokens, uncut: (tokens, 2)."""
        offsets = self._whole.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, dtype=np.int32).reshape(-1, 2)

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens a prompt takes at the start of a text, leading special tokens included."""
        if not prompt:
            return 0
        encoded = self._cutting.encode(prompt)
        return len(encoded.ids) - bool(encoded.special_tokens_mask[-1])

    def _content_tokens(self, prompt: str) -> int:
        return len(self._cutting.encode(prompt, add_special_tokens=False).ids) if prompt else 0


def _is_cut(text: str, limit: int | None) -> bool:
    return limit is not None and len(text) > limit


def _start(text: str, limit: int | None) -> str:
    """The start of a long text, up to a space where there is one: a word cut in two would make tokens of its own."""
    if not _is_cut(text, limit):
        return text
    space = text.rfind(" ", 1, limit)
    return text[: space if space > 0 else limit]


def load_tokenizer(folder: EncoderFolder) -> Tokenizer:
    """A fresh tokenizer without truncation and padding."""
    from tokenizers import Tokenizer

    path = folder.transformer / "tokenizer.json"
    if path.exists():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise UnsupportedCheckpoint(f"{path}: not a readable tokenizer ({error})") from error
    else:
        tokenizer = _from_vocabulary(folder.transformer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if folder.lower_case:
        _add_lower_case(tokenizer)
    return tokenizer


def _from_vocabulary(folder: Path) -> Tokenizer:
    """Folders from before tokenizer.json: transformers knows how each family's vocabulary is read."""
    if not any((folder / name).exists() for name in VOCABULARIES):
        raise UnsupportedCheckpoint(f"{folder}: tokenizer.json is missing")
    refuse_remote_code(folder / "tokenizer_config.json", ("AutoTokenizer",))
    refuse_remote_code(folder / "config.json", ("AutoTokenizer", "AutoConfig"))
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        tokenizer: Tokenizer = found.backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise UnsupportedCheckpoint(f"{folder}: tokenizer.json is missing, and {error}") from error
    return tokenizer


def _add_lower_case(tokenizer: Tokenizer) -> None:
    from tokenizers import normalizers

    present = tokenizer.normalizer
    if present is None or '"lowercase":true' not in tokenizer.to_str().replace(" ", "")[:100_000]:
        parts = [normalizers.Lowercase(), *([present] if present is not None else [])]
        tokenizer.normalizer = normalizers.Sequence(parts)


def tokenizer_digest(folder: EncoderFolder) -> str:
    """SHA-256 of what decides how text becomes tokens."""
    root = folder.transformer
    names = ("tokenizer.json",) if (root / "tokenizer.json").exists() else (*VOCABULARIES, "tokenizer_config.json")
    found = [root / name for name in names if (root / name).exists()]
    if not found:
        raise UnsupportedCheckpoint(f"{root}: tokenizer.json is missing")
    plain = digest_of(found, root)
    return f"{plain}+lowercase" if folder.lower_case else plain
