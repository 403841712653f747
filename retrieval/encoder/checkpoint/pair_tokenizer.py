"""Tokenise pairs of a query and a text for a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.encoder.checkpoint.folder_json import read_json
from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.tokenizer import CHARACTERS_PER_TOKEN, load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Encoding


@dataclass(frozen=True, slots=True)
class TokenPair:
    """Token ids of a query and a text, special tokens included, and their types."""

    ids: list[int]
    types: list[int]  # 0 for the query's tokens, 1 for those of the text


class PairTokenizer:
    """The tokenizer of a cross-encoder.  Safe to call from several threads."""

    def __init__(self, folder: EncoderFolder) -> None:
        side = read_json(folder.transformer / "tokenizer_config.json").get("truncation_side", "right")
        self._whole = load_tokenizer(folder)
        self._joining = load_tokenizer(folder)
        self._joining.enable_truncation(folder.max_tokens, strategy="longest_first", direction=side)
        self._max_characters = CHARACTERS_PER_TOKEN[-1] * folder.max_tokens if side == "right" else None

    def pairs(self, query: str, texts: Sequence[str]) -> list[TokenPair]:
        """Join the query with each text.

        The longer part is truncated until both fit the limit of the model.  The query is tokenised once, and only the
        start of a text that is far longer than the limit.
        """
        starts = [text[: self._max_characters] for text in texts]
        first, *others = self._whole.encode_batch([query, *starts], add_special_tokens=False)
        return [self._join(first, other) for other in others]

    def largest_id(self) -> int:
        """Return the largest id of the vocabulary; -1 if it is empty."""
        return max(self._whole.get_vocab().values(), default=-1)

    def _join(self, query: Encoding, text: Encoding) -> TokenPair:
        joined = self._joining.post_process(query, text)
        return TokenPair(joined.ids, joined.type_ids)
