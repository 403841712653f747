"""What makes two encoders the same."""

from __future__ import annotations

from retrieval.encoder.folder import EncoderFolder, digest_of, weight_files
from retrieval.encoder.tokenizer import tokenizer_digest
from retrieval.types import EncoderFingerprint


def fingerprint_of(folder: EncoderFolder, name: str) -> EncoderFingerprint:
    """Read and digest every file that decides what vectors come out."""
    weights = weight_files(folder.transformer)
    for dense in folder.head.dense:
        weights += weight_files(folder.path / dense.folder)
    pooling = "+".join(folder.head.poolings)
    return EncoderFingerprint(
        name=name,
        weights_sha256=digest_of(weights, folder.path),
        tokenizer_sha256=tokenizer_digest(folder),
        pooling=pooling if folder.include_prompt else f"{pooling} without prompt",
        normalize=folder.head.normalize,
        query_prompt=folder.query_prompt,
        passage_prompt=folder.passage_prompt,
        max_tokens=folder.max_tokens,
        dimension=folder.dimension,
    )
