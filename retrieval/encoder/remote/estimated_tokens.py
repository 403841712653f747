"""A tokenizer for a remote model, whose own tokenizer is unknown: it estimates.

A token is up to four letters of a word, up to three digits, one ideograph or syllable, or one other character.  English
text has about a tenth more such tokens than word pieces, so that a passage cut by them fits into the model.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SYLLABLES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]"
PIECES = rf"{SYLLABLES}|[a-zA-Z]{{1,4}}|\d{{1,3}}|(?:(?!{SYLLABLES})[\p{{L}}\p{{M}}]){{1,3}}|."
TOKEN = "text"


class EstimatedTokenizer(TextTokenizer):
    """Reads every text; none of its tokens is unknown."""

    is_estimated = True

    def __init__(self, max_tokens: int, query_prompt: str, passage_prompt: str) -> None:
        self._length = max_tokens
        self._keeps_start = True
        self._adds_special = False
        self.special_tokens = 0
        self._truncating = _tokenizer()
        self._truncating.enable_truncation(max_length=max_tokens)
        prompts = [len(_tokenizer().encode(prompt).ids) for prompt in (query_prompt, passage_prompt)]
        self.max_tokens = max_tokens - max(prompts)
        if self.max_tokens < 1:
            raise EncoderError(f"the prompts have {max(prompts)} tokens, and max_tokens is {max_tokens}; raise it")

    @cached_property
    def _untruncated(self) -> Tokenizer:
        return _tokenizer()

    def count(self, text: str) -> int:
        """Return the estimated tokens of a text, at most those that the model reads."""
        return len(self.encoding(text).ids)

    def cut(self, text: str) -> str:
        """Return the part of a text that the model reads."""
        if len(text) <= self._length:  # no token is shorter than a character
            return text
        offsets = self.encoding(text[: self._length * 8]).offsets
        return text[: offsets[-1][1]] if len(offsets) == self._length else text


def _tokenizer() -> Tokenizer:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({TOKEN: 0}, unk_token=TOKEN))
    pieces = pre_tokenizers.Split(Regex(PIECES), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pieces])
    return tokenizer
