"""Checks that an encoder is the one that made a collection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.errors import EncoderMismatch
from retrieval.protocols import Encoder
from retrieval.types import EncoderFingerprint, Vectors

CANARY_TEXTS = (
    "A short sentence in plain English.",
    "Attention weighs every token against every other.",
    "def rstrip(self, chars=None): return a copy with trailing characters removed",
    "2024-05-01, 3.14159 and 42 %",
    "自然人从事工商业经营",
)
MIN_COSINE = 0.98  # int8 against float32 stays above; another encoder stays far below


def check_fingerprint(collection: str, made_by: EncoderFingerprint, given: EncoderFingerprint) -> None:
    """Raise EncoderMismatch if two fingerprints differ in more than the name."""
    differences = made_by.differences(given)
    if differences:
        raise EncoderMismatch(
            f"{collection} was made by the encoder {made_by.name!r}; {given.name!r} is a different one "
            f"({'; '.join(differences)}). Open it with --encoder {made_by.name}, or index it again with the new encoder"
        )


def check_canaries(collection: str, texts: Sequence[str], vectors: Vectors, encoder: Encoder) -> None:
    """Raise EncoderMismatch unless the encoder gives `texts` their recorded vectors."""
    if not len(texts):
        return
    cosines = np.einsum("nd,nd->n", encoder.encode_passages(texts), vectors)
    worst = int(np.argmin(cosines))
    if not cosines[worst] >= MIN_COSINE:
        raise EncoderMismatch(
            f"{collection}: the encoder has the right files but gives different vectors: the text {texts[worst]!r} "
            f"now has a cosine of {cosines[worst]:.4f} with its recorded vector, less than {MIN_COSINE}. "
            "Check the runtime and its versions, or index the documents again"
        )
