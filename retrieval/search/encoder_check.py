"""Checks that an encoder is the one that made a collection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from retrieval.encoder.sentence import SentenceEncoder, WrappedEncoder
from retrieval.errors import EncoderMismatch, EncoderUnavailable
from retrieval.index.storage.settings import Canaries
from retrieval.protocols import Encoder
from retrieval.types import EncoderFingerprint, Vectors
from retrieval.util.remote_names import is_remote

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


def check_canaries(
    collection: str, texts: Sequence[str], vectors: Vectors, encoder: Encoder, *, remote: str = ""
) -> None:
    """Raise EncoderMismatch unless the encoder gives `texts` their recorded vectors.

    `remote` is the name of a remote encoder, whose files this machine cannot compare.
    """
    if not len(texts):
        return
    cosines = np.einsum("nd,nd->n", encoder.encode_passages(texts), vectors)
    worst = int(np.argmin(cosines))
    if not cosines[worst] >= MIN_COSINE:
        cause = (
            f"the service {remote} now runs another model under this name"
            if remote
            else ("the encoder has the right files but gives different vectors")
        )
        advice = "Ask for the earlier model" if remote else "Check the runtime and its versions"
        raise EncoderMismatch(
            f"{collection}: {cause}: the text {texts[worst]!r} now has a cosine of {cosines[worst]:.4f} with its "
            f"recorded vector, less than {MIN_COSINE}. {advice}, or index the documents again"
        )


def same_canaries(first: Canaries, second: Canaries) -> bool:
    """Check whether one encoder may have made both, by the rule of `check_canaries`."""
    if first.texts != second.texts or first.vectors.shape != second.vectors.shape:
        return False
    return bool((np.einsum("nd,nd->n", first.vectors, second.vectors) >= MIN_COSINE).all())


def check_unchanged(collection: str, canaries: Canaries, encoder: SentenceEncoder) -> None:
    """Raise EncoderMismatch if the service of a remote encoder changed its model.

    Files on this machine have digests instead, so that a local encoder costs nothing here.
    """
    name = encoder.fingerprint.name
    if is_remote(name):
        check_canaries(collection, canaries.texts, canaries.vectors, encoder, remote=name)


class UncheckedEncoder(WrappedEncoder):
    """A remote encoder to check before its first query: it could not be reached."""

    def __init__(self, encoder: SentenceEncoder, checks: Sequence[Callable[[], None]]) -> None:
        super().__init__(encoder)
        self.checks = tuple(checks)
        self._lock = threading.Lock()

    def encode_queries(self, texts: Sequence[str], *, save_cpu: bool = False) -> Vectors:
        if self.checks:
            with self._lock:
                for check in self.checks:
                    check()
                self.checks = ()
        return super().encode_queries(texts, save_cpu=save_cpu)


def checked_encoder(collection: str, canaries: Canaries, encoder: SentenceEncoder) -> SentenceEncoder:
    """Return the encoder; raise EncoderMismatch if it gives canaries other vectors.

    A remote encoder that cannot be reached now is checked later, so that lexical searches go on.
    """
    name = encoder.fingerprint.name
    remote = name if is_remote(name) else ""

    def check() -> None:
        check_canaries(collection, canaries.texts, canaries.vectors, encoder, remote=remote)

    try:
        check()
    except EncoderUnavailable:
        return UncheckedEncoder(encoder, (check,))
    return encoder


def joined_encoder(encoders: Sequence[SentenceEncoder]) -> SentenceEncoder:
    """Return the first of several equal encoders, with the checks of all."""
    checks = [check for each in encoders if isinstance(each, UncheckedEncoder) for check in each.checks]
    return UncheckedEncoder(encoders[0], checks) if checks else encoders[0]
