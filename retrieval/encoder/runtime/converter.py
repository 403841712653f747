"""The program that converts an encoder for another process.

`python -m retrieval.encoder.runtime.converter KIND FOLDER TARGET SPARE` writes the graph to TARGET, or to SPARE if it
cannot.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.encoder.checkpoint.cross_encoder_folder import open_cross_encoder
from retrieval.encoder.checkpoint.late_interaction_folder import open_late_interaction
from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.checkpoint.sparse_folder import open_sparse_folder
from retrieval.encoder.runtime import conversion
from retrieval.encoder.runtime.conversion_process import GraphKind
from retrieval.errors import StorageError

if TYPE_CHECKING:
    import openvino as ov


def _export(kind: GraphKind, folder: Path) -> ov.Model:
    if kind is GraphKind.PAIRS:
        pairs = open_cross_encoder(folder)
        assert pairs is not None, "the caller has read the folder"
        return conversion.export_pair_graph(pairs)
    exports: dict[GraphKind, Callable[[], ov.Model]] = {
        GraphKind.ENCODER: lambda: conversion.export_graph(open_folder(folder)),
        GraphKind.TOKENS: lambda: conversion.export_token_graph(open_late_interaction(folder)),
        GraphKind.SPLADE: lambda: conversion.export_splade_graph(open_sparse_folder(folder)),
    }
    return exports[kind]()


def main(kind: str, folder: str, target: str, spare: str) -> int:
    """Convert, and print where the graph is, or the error."""
    try:
        graph = _export(GraphKind(kind), Path(folder))
        path = Path(target)
        try:
            conversion.save_graph(graph, path)
        except (OSError, StorageError):
            path = Path(spare) / "graph"
            conversion.save_graph(graph, path)
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return 1
    print(json.dumps({"path": str(path)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
