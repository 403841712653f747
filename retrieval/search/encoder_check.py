"""Whether an encoder is the one that made a collection, asked of the encoder itself."""

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


def check_fingerprint(collection: str, made_by: EncoderFingerprint, at_hand: EncoderFingerprint) -> None:
    """Raise EncoderMismatch unless both fingerprints are the same, the name aside."""
    differences = made_by.differences(at_hand)
    if differences:
        raise EncoderMismatch(
            f"{collection} was made by the encoder {made_by.name!r}, and {at_hand.name!r} is another one "
            f"({'; '.join(differences)}). Open it with --encoder {made_by.name}, or make it again with the new encoder"
        )


def check_canaries(collection: str, texts: Sequence[str], vectors: Vectors, encoder: Encoder) -> None:
    """Raise EncoderMismatch unless `encoder` gives `texts` the vectors that the collection recorded."""
    if not len(texts):
        return
    cosines = np.einsum("nd,nd->n", encoder.encode_passages(texts), vectors)
    worst = int(np.argmin(cosines))
    if not cosines[worst] >= MIN_COSINE:
        raise EncoderMismatch(
            f"{collection}: the encoder has the right files but gives other vectors: the text {texts[worst]!r} "
            f"now has cosine {cosines[worst]:.4f} with its recorded vector (at least {MIN_COSINE} expected). "
            "Check the runtime and its versions, or make the collection again"
        )
