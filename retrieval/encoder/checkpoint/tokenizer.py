"""Tokenise text, and locate tokens in it for chunking and highlighting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.folder_json import read_json
from retrieval.encoder.checkpoint.model_folder import VOCABULARY_FILES, EncoderFolder, refuse_remote_code
from retrieval.errors import EncoderError, UnsupportedCheckpoint

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# Most texts have fewer characters a token than the first, nearly all than the second: long texts are cut there before
# they are tokenised.
CHARACTERS_PER_TOKEN = (6, 16)
INLINE_CHARACTERS = 2_048  # texts up to this total are tokenised in the caller's thread


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text."""

    spans: NDArray[np.int64]  # (t, 2), code-point offsets
    words: NDArray[np.int64]  # (t,), the number of each token's word, -1 for special tokens

    @classmethod
    def of(cls, encoding: Encoding) -> Tokens:
        """Convert the tokenizer's output."""
        special = np.array(encoding.special_tokens_mask, dtype=bool)
        words = np.array([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
        return cls(np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2), np.where(special, -1, words))


class TextTokenizer:
    """The folder's tokenizer.  Safe to call from several threads, without the GIL."""

    is_estimated = False  # whether its tokens say nothing about what the encoder can read

    def __init__(self, folder: EncoderFolder) -> None:
        self._folder = folder
        self._length = folder.max_tokens  # special tokens included
        self._truncating = load_tokenizer(folder)
        side = read_json(folder.transformer / "tokenizer_config.json").get("truncation_side", "right")
        self._truncating.enable_truncation(max_length=folder.max_tokens, direction=side)
        self._keeps_start = side == "right"
        self._adds_special = not folder.static_width  # a static embedding averages the tokens of the text alone
        self.special_tokens = self._truncating.num_special_tokens_to_add(is_pair=False) if self._adds_special else 0
        # The longer prompt decides, so that a passage is cut alike as a query and as a passage.
        prompt_tokens = max(map(self._content_tokens, (folder.query_prompt, folder.passage_prompt)))
        self.max_tokens = folder.max_tokens - self.special_tokens - prompt_tokens
        if self.max_tokens < 1:
            raise EncoderError(
                f"{folder.path}: the limit of {folder.max_tokens} tokens leaves none for text, beside "
                f"{self.special_tokens} special tokens and {prompt_tokens} tokens of a prompt; raise max_seq_length in "
                "sentence_bert_config.json, or shorten the prompts in config_sentence_transformers.json"
            )

    @cached_property
    def _untruncated(self) -> Tokenizer:
        """The tokenizer without truncation, loaded on first use: big ones take time."""
        return load_tokenizer(self._folder)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included, cut at the limit."""
        return self._ids(texts, CHARACTERS_PER_TOKEN if self._keeps_start else ())

    def _ids(self, texts: Sequence[str], cuts: Sequence[int]) -> list[list[int]]:
        """Tokenise the starts of long texts, longer ones if they do not fill the limit."""
        max_tokens = self._length
        limit = cuts[0] * max_tokens if cuts else None
        found = [encoding.ids for encoding in self._encode([_start(text, limit) for text in texts])]
        short = [i for i, text in enumerate(texts) if _is_cut(text, limit) and len(found[i]) < max_tokens]
        if short:
            for i, ids in zip(short, self._ids([texts[i] for i in short], cuts[1:]), strict=True):
                found[i] = ids
        return found

    def _encode(self, texts: list[str]) -> list[Encoding]:
        """Tokenise few texts in this thread: waking the library's threads takes longer."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return list(map(self.encoding, texts))
        with _panics_as_errors():
            return self._truncating.encode_batch_fast(texts, add_special_tokens=self._adds_special)

    def encoding(self, text: str) -> Encoding:
        """Tokenise one text as `ids` does; the result has offsets and words."""
        return _encode(self._truncating, text, add_special=self._adds_special)

    def tokens(self, text: str) -> Tokens:
        """Return the tokens that `ids` gives for a text, with their offsets and words."""
        return Tokens.of(self.encoding(text))

    def whole_encoding(self, text: str) -> Encoding:
        """Tokenise one text with special tokens and without truncation."""
        return _encode(self._untruncated, text, add_special=self._adds_special)

    def largest_id(self) -> int:
        """Return the largest id of the vocabulary; -1 if it is empty."""
        return max(self.vocabulary().values(), default=-1)

    def vocabulary(self) -> dict[str, int]:
        """Return the id of each token."""
        found: dict[str, int] = self._truncating.get_vocab()
        return found

    def token_id(self, token: str) -> int | None:
        """Return the id of a token of the vocabulary."""
        return self._untruncated.token_to_id(token)

    def spans(self, text: str) -> NDArray[np.int32]:
        """Return offsets of all tokens, special ones left out: (tokens, 2) code points."""
        offsets = _encode(self._untruncated, text, add_special=False).offsets
        return np.array(offsets, dtype=np.int32).reshape(-1, 2)

    def exceeds_limit(self, text: str) -> bool:
        """Check whether a text has more tokens than `max_tokens`.

        The start of a long text decides if it is enough.
        """
        limits = [limit * self.max_tokens for limit in CHARACTERS_PER_TOKEN]
        starts = [*(_start(text, limit) for limit in limits if len(text) > limit), text]
        return any(len(_encode(self._untruncated, start, add_special=False)) > self.max_tokens for start in starts)

    def prompt_tokens(self, prompt: str) -> int:
        """Count a prompt's tokens in a text, leading special tokens included."""
        if not prompt:
            return 0
        encoded = self.encoding(prompt)
        return len(encoded.ids) - bool(encoded.special_tokens_mask[-1])

    def _content_tokens(self, prompt: str) -> int:
        return len(self._truncating.encode(prompt, add_special_tokens=False).ids) if prompt else 0


def _encode(tokenizer: Tokenizer, text: str, *, add_special: bool) -> Encoding:
    """Tokenise one text, a long one without the GIL.

    The library keeps the GIL for a single text and releases it for a list.
    """
    with _panics_as_errors():
        if len(text) <= INLINE_CHARACTERS:
            return tokenizer.encode(text, add_special_tokens=add_special)
        return tokenizer.encode_batch([text], add_special_tokens=add_special)[0]


@contextmanager
def _panics_as_errors() -> Iterator[None]:
    """Raise EncoderError where the library panics.

    It panics if a pattern of tokenizer.json takes too long for a text.
    """
    try:
        yield
    except BaseException as error:  # the library's class derives from BaseException, and cannot be imported
        if type(error).__name__ != "PanicException":
            raise
        raise EncoderError(f"the tokenizer cannot read a text ({error}); use another encoder") from error


def _is_cut(text: str, limit: int | None) -> bool:
    return limit is not None and len(text) > limit


def _start(text: str, limit: int | None) -> str:
    """Cut a long text at a space if there is one, since half a word changes tokens."""
    if not _is_cut(text, limit):
        return text
    space = text.rfind(" ", 1, limit)
    return text[: space if space > 0 else limit]


def load_tokenizer(folder: EncoderFolder) -> Tokenizer:
    """Load the folder's tokenizer without truncation and padding."""
    from tokenizers import Tokenizer

    path = folder.transformer / "tokenizer.json"
    if path.exists():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise UnsupportedCheckpoint(f"{path}: no readable tokenizer ({error}); fetch the folder again") from error
    else:
        tokenizer = _from_vocabulary(folder.transformer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if folder.lower_case:
        _add_lower_case(tokenizer)
    _add_markers(tokenizer, folder.markers)
    return tokenizer


def _add_markers(tokenizer: Tokenizer, markers: Sequence[str]) -> None:
    """Keep each marker, or its first word, whole if it is in the vocabulary."""
    from tokenizers import AddedToken

    for marker in markers:
        known = (text for text in (marker, marker.split(None, 1)[0]) if tokenizer.token_to_id(text) is not None)
        if (token := next(known, None)) and tokenizer.encode(token, add_special_tokens=False).tokens != [token]:
            tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])


def _from_vocabulary(folder: Path) -> Tokenizer:
    """Convert an old vocabulary; transformers knows each family's format."""
    if not any((folder / name).exists() for name in VOCABULARY_FILES):
        raise UnsupportedCheckpoint(f"{folder}: tokenizer.json is missing; fetch the folder again")
    refuse_remote_code(folder / "tokenizer_config.json", ("AutoTokenizer",))
    refuse_remote_code(folder / "config.json", ("AutoTokenizer", "AutoConfig"))
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        tokenizer: Tokenizer = found.backend_tokenizer
    except Exception as error:  # the library raises errors of many classes for damaged files
        raise UnsupportedCheckpoint(
            f"{folder}: tokenizer.json is missing, and transformers cannot convert the vocabulary: {error}"
        ) from error
    return tokenizer


def _add_lower_case(tokenizer: Tokenizer) -> None:
    from tokenizers import normalizers

    present = tokenizer.normalizer
    if present is None or '"lowercase":true' not in tokenizer.to_str().replace(" ", "")[:100_000]:
        parts = [normalizers.Lowercase(), *([present] if present is not None else [])]
        tokenizer.normalizer = normalizers.Sequence(parts)
