"""What makes two encoders the same."""

from __future__ import annotations

from retrieval.encoder.checkpoint.model_folder import EncoderFolder, digest_of, weight_files
from retrieval.encoder.tokenizer import tokenizer_digest
from retrieval.types import EncoderFingerprint


def fingerprint_of(folder: EncoderFolder, name: str, *, int8: bool = False) -> EncoderFingerprint:
    """Read and digest every file that decides what vectors come out.

    An int8 encoder has its graph's digest, and remembers that of the float weights it was made from.
    """
    weights = weight_files(folder.transformer)
    for dense in folder.head.dense:
        weights += weight_files(folder.path / dense.folder)
    floats = digest_of(weights, folder.path)
    graph = folder.int8_graph if int8 else None
    pooling = "+".join(folder.head.poolings)
    return EncoderFingerprint(
        name=name,
        weights_sha256=digest_of([graph, graph.with_suffix(".bin")], folder.path) if graph else floats,
        tokenizer_sha256=tokenizer_digest(folder),
        pooling=pooling if folder.include_prompt else f"{pooling} without prompt",
        normalize=folder.head.normalize,
        query_prompt=folder.query_prompt,
        passage_prompt=folder.passage_prompt,
        max_tokens=folder.max_tokens,
        dimension=folder.dimension,
        quantized_from=floats if graph else "",
    )
