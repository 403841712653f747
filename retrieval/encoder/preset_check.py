"""Check that the folder of a preset gives the pinned vectors or scores.

The values were computed once, in float32, with the weights of the preset's package.  The published weights of the hub
give nearly the same; a model that was converted wrongly does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.encoder.checkpoint.late_interaction_folder import is_late_interaction
from retrieval.encoder.checkpoint.presets import HUB, Preset
from retrieval.encoder.checkpoint.sparse_folder import is_sparse_encoder
from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.encoder.late_interaction import load_late_interaction
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sparse import load_sparse_encoder
from retrieval.errors import EncoderError
from retrieval.types import Scores

QUERY = "which animal gives milk?"
PASSAGES = (
    "A cow is a large animal that people keep for its milk.",
    "The moon moves around the earth in about a month.",
    "牛是人们为了牛奶而饲养的动物。",
)
NEXT_STEP = "report it with the versions of openvino, tokenizers and transformers (pip freeze)"


@dataclass(frozen=True, slots=True)
class PinnedVectors:
    """The first coordinates of the query's and the passages' vectors, times 10,000.

    `hub_cosine` is the least cosine with them of the hub's weights, `package_cosine` of the package's.
    """

    rows: tuple[tuple[int, ...], ...]
    hub_cosine: float
    package_cosine: float = 0.9999


@dataclass(frozen=True, slots=True)
class PinnedScores:
    """The scores of the query with each passage, and the largest differences."""

    scores: tuple[float, ...]
    hub_difference: float
    package_difference: float = 0.02


VECTORS = {
    "english": PinnedVectors(
        (
            (572, -366, 399, 538, 331, -411, 507, 676, 193, 286, -254, -1903, 10, -160, 87, -317),
            (97, -6, 11, 371, 341, -530, 723, 195, 334, 320, -487, -911, 158, -266, -43, -398),
            (-124, -153, 107, -225, -315, 50, 138, -259, -327, 558, 226, 376, 212, 68, -218, -324),
            (-320, 347, -192, -338, 213, -263, 991, -374, 253, -375, 767, -503, 447, -6, 625, 313),
        ),
        hub_cosine=0.97,
    ),
    "multilingual": PinnedVectors(
        (
            (688, -53, -593, -707, 871, -392, 214, 263, -46, 347, 249, 80, 433, -226, -430, 482),
            (-98, 156, -232, -1086, 851, -114, 625, -15, 382, 334, 622, -60, 1065, -442, -451, 174),
            (326, 228, -374, -456, 1195, 53, -25, 174, 661, 199, 629, -180, 101, -211, -450, 412),
            (712, 218, -401, -786, 1063, 247, 72, 86, 739, -8, 535, -479, 1000, -30, -827, 14),
        ),
        hub_cosine=0.9,  # 4 bits are further from the published weights than 8
    ),
}
SCORES = {
    "reranker-english": PinnedScores((4.648, -11.212, -10.449), hub_difference=1.0),
    # The published model has another projection, so that only the order of its scores is known.
    "colbert-english": PinnedScores((27.075, 24.492, 23.791), hub_difference=math.inf),
    "sparse-english": PinnedScores((20.330, 0.127, 0.0), hub_difference=0.02),
}


def check_preset(preset: Preset, source: str, folder: Path) -> None:
    """Compare a folder with the pinned values.  Raises EncoderError."""
    if pinned := VECTORS.get(preset.name):
        check_vectors(folder, pinned, pinned.hub_cosine if source == HUB else pinned.package_cosine)
    elif scores := SCORES.get(preset.name):
        check_scores(folder, scores, scores.hub_difference if source == HUB else scores.package_difference)


def check_vectors(folder: Path, pinned: PinnedVectors, min_cosine: float) -> None:
    """Raise EncoderError unless all cosines to pinned vectors are high."""
    encoder = load_encoder(folder, precision="f32")
    vectors = np.vstack([encoder.encode_queries([QUERY]), encoder.encode_passages(PASSAGES)])
    expected = np.array(pinned.rows, dtype=np.float32)
    found = vectors[:, : expected.shape[1]]
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((found * expected).sum(axis=1) / np.maximum(lengths, 1e-9)).min())
    if not cosine >= min_cosine:
        raise EncoderError(
            f"{folder}: the vectors of the test sentences have a cosine of {cosine:.4f} to the pinned ones, below "
            f"{min_cosine}; the conversion went wrong: {NEXT_STEP}"
        )


def check_scores(folder: Path, pinned: PinnedScores, max_difference: float) -> None:
    """Raise EncoderError for another best passage, or a score too far off."""
    scores = _scores(folder)
    expected = np.array(pinned.scores, dtype=np.float32)
    difference = float(np.abs(scores - expected).max())
    if not difference <= max_difference or scores.argmax() != expected.argmax():
        raise EncoderError(
            f"{folder}: the scores of the test sentences differ from the pinned ones by {difference:.3f}, more than "
            f"{max_difference}; the conversion went wrong: {NEXT_STEP}"
        )


def _scores(folder: Path) -> Scores:
    """Score the query with each passage, by the kind of the model."""
    if is_late_interaction(folder):
        return _late_scores(folder)
    if is_sparse_encoder(folder):
        return _sparse_scores(folder)
    return load_cross_encoder(folder, precision="f32").score(QUERY, PASSAGES)


def _sparse_scores(folder: Path) -> Scores:
    encoder = load_sparse_encoder(folder, precision="f32")
    vectors = [*encoder.encode_queries([QUERY]), *encoder.encode_passages(PASSAGES)]
    query, *passages = (np.bincount(each.terms, each.weights, encoder.folder.vocabulary) for each in vectors)
    return np.array([query @ passage for passage in passages], dtype=np.float32)


def _late_scores(folder: Path) -> Scores:
    encoder = load_late_interaction(folder, precision="f32")
    query = encoder.encode_query(QUERY)
    scores = [(query @ passage.T).max(1).sum() for passage in encoder.encode_passages(PASSAGES)]
    return np.array(scores, dtype=np.float32)
