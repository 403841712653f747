"""Convert the encoder to one OpenVINO graph, and cache it.

The graph computes vectors and token states from token ids.  A converted encoder is a folder `model.xml` + `model.bin`
in the cache.  Its name is a digest of everything that decides its content.  It appears in the cache complete or not at
all.  A process that finds it there needs neither torch nor the checkpoint's weights; for any other process, a third one
converts it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoder.checkpoint.late_interaction_folder import STANFORD_PROJECTION, LateInteractionFolder
from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.checkpoint.sparse_folder import SparseFolder
from retrieval.encoder.runtime.conversion_process import GraphKind, converted_apart
from retrieval.encoder.runtime.token_batches import (
    GRAPH_INPUTS,
    PAIR_INPUTS,
    TOKEN_INPUTS,
    TextTokens,
    TokenBatch,
    TokenVectorRows,
)
from retrieval.errors import EncoderError, StorageError
from retrieval.types import EncoderFingerprint
from retrieval.util.cache_folder import cache_folder
from retrieval.util.files import sync_path
from retrieval.util.temporaries import temporary_folder

if TYPE_CHECKING:
    import openvino as ov
    from torch import nn

    from retrieval.encoder.model.transformer import TokenVectorGraph

logger = logging.getLogger(__name__)

GRAPH_VERSION = 4  # raise it when the exported graph changes
VERSION_KEY = ["attendex", "graph"]  # of the graph's run-time information that holds GRAPH_VERSION
MODEL_FILE, WEIGHTS_FILE = "model.xml", "model.bin"
EXAMPLE = ([1] * 9, [1] * 4, [1] * 3)  # token ids of texts in two rows, to trace the graph
SCORES, MIXED = "scores", "mixed"  # the two products of attention, at the end of their names


NOT_KEPT = "the converted encoder cannot be kept in %s (%s); every start converts it again"


class GraphOutput(StrEnum):
    """An output of the graph, in the order of the exported module's results."""

    VECTORS = "vectors"  # (S, dimension)
    STATES = "states"  # (B, L, width), of each token before pooling


def load_graph(
    folder: EncoderFolder, fingerprint: EncoderFingerprint, core: ov.Core, output: GraphOutput = GraphOutput.VECTORS
) -> ov.Model:
    """Load the encoder's graph with one output, cached or newly converted."""
    return keep_output(_cached_graph(folder, fingerprint, core, GraphKind.ENCODER, export_graph), output)


def load_pair_graph(folder: EncoderFolder, fingerprint: EncoderFingerprint, core: ov.Core) -> ov.Model:
    """Load the graph of a cross-encoder, cached or newly converted."""
    return _cached_graph(folder, fingerprint, core, GraphKind.PAIRS, export_pair_graph)


def load_token_graph(folder: LateInteractionFolder, fingerprint: EncoderFingerprint, core: ov.Core) -> ov.Model:
    """Load the graph of a late-interaction model, cached or newly converted."""
    return _cached_graph(folder.encoder, fingerprint, core, GraphKind.TOKENS, lambda _: export_token_graph(folder))


def load_splade_graph(folder: SparseFolder, fingerprint: EncoderFingerprint, core: ov.Core) -> ov.Model:
    """Load the graph of a SPLADE model, cached or newly converted."""
    return _cached_graph(folder.passages, fingerprint, core, GraphKind.SPLADE, lambda _: export_splade_graph(folder))


def keep_output(graph: ov.Model, output: GraphOutput) -> ov.Model:
    """Remove the graph's other outputs, and the operations that only they need."""
    for port in graph.outputs:
        if output not in port.get_names():
            graph.remove_result(port.get_node())
    return graph


def load_attention_graph(folder: EncoderFolder, fingerprint: EncoderFingerprint, core: ov.Core) -> ov.Model:
    """Load the encoder's graph with one output a layer: attention, (R, H, L, L)."""
    graph = _cached_graph(folder, fingerprint, core, GraphKind.ENCODER, export_graph)
    outputs = graph.outputs
    graph.add_outputs([node.output(0) for node in _softmax_nodes(graph)])
    for port in outputs:
        graph.remove_result(port.get_node())
    return graph


def remove_mask(graph: ov.Model) -> ov.Model:
    """Copy the graph without its mask, for full rows, and no windows or biases."""
    bare = graph.clone()
    for node in _softmax_nodes(bare):
        masked = node.input_value(0).get_node()
        node.input(0).replace_source_output(masked.input_value(0))
    bare.validate_nodes_and_infer_types()
    return bare


def _softmax_nodes(graph: ov.Model) -> list[ov.Node]:
    """Return the operations that make the attention weights, the first layer's first."""
    return [node for node in graph.get_ordered_ops() if node.get_type_name() == "Softmax"]


def _decompose_attention(graph: ov.Model) -> None:
    """Replace attention by two products and a softmax.

    The compiler fuses them with the transposition of the keys; before ScaledDotProductAttention it copies the keys.
    The scale of ScaledDotProductAttention is 1 here.
    """
    from openvino import opset13

    for node in graph.get_ordered_ops():
        if node.get_type_name() == "ScaledDotProductAttention":
            queries, keys, values, mask = (node.input_value(i) for i in range(4))
            scores = opset13.matmul(queries, keys, False, True)
            mixed = opset13.matmul(opset13.softmax(opset13.add(scores, mask), -1), values, False, False)
            for product, name in ((scores, SCORES), (mixed, MIXED)):
                product.set_friendly_name(f"{node.get_friendly_name()}/{name}")
            node.output(0).replace(mixed.output(0))


def _cached_graph(
    folder: EncoderFolder,
    fingerprint: EncoderFingerprint,
    core: ov.Core,
    kind: GraphKind,
    export: Callable[[EncoderFolder], ov.Model],
) -> ov.Model:
    path = cache_folder() / "encoders" / _cache_key(folder, fingerprint)
    if (path / MODEL_FILE).exists():
        try:
            return core.read_model(path / MODEL_FILE)
        except RuntimeError as error:
            logger.warning("%s: the converted encoder cannot be read (%s); converting it again", path, error)
            shutil.rmtree(path, ignore_errors=True)
    if "torch" not in sys.modules:
        return _read_converted(kind, folder, path, core)
    graph = export(folder)
    try:
        save_graph(graph, path)
    except (OSError, StorageError) as error:
        logger.warning(NOT_KEPT, path, error)
    return graph


def _read_converted(kind: GraphKind, folder: EncoderFolder, path: Path, core: ov.Core) -> ov.Model:
    """Let another process convert the encoder, so that this one does not import torch."""
    with converted_apart(kind, folder.path, path) as found:
        if found != path:
            logger.warning(NOT_KEPT, path, "it cannot be written")
        return core.read_model(found / MODEL_FILE)


def _cache_key(folder: EncoderFolder, fingerprint: EncoderFingerprint) -> str:
    import openvino as ov

    identity = {name: value for name, value in asdict(fingerprint).items() if name != "name"}
    content = [GRAPH_VERSION, ov.__version__, identity, dict(folder.config), asdict(folder.head)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def read_quantized(path: Path, core: ov.Core) -> ov.Model:
    """Read an int8 graph; raise EncoderError if an earlier version wrote it."""
    graph = core.read_model(path)
    if not graph.has_rt_info(VERSION_KEY) or int(graph.get_rt_info(VERSION_KEY).value) != GRAPH_VERSION:
        raise EncoderError(f"{path} was written by an earlier version; make it again with: attendex quantize ENCODER …")
    return graph


def save_graph(graph: ov.Model, path: Path) -> None:
    """Write the graph as the folder `path`, unless it exists, complete or not at all."""
    import openvino as ov

    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path, private=False) as temporary:  # another user may run the service
        try:
            ov.save_model(graph, temporary / MODEL_FILE, compress_to_fp16=False)
        except RuntimeError as error:  # the library's report of a full disk
            raise OSError(str(error)) from error
        for file in (temporary / MODEL_FILE, temporary / WEIGHTS_FILE):
            sync_path(file)
        with suppress(FileExistsError, OSError):
            temporary.rename(path)  # fails if another process was first; its folder is as good
        sync_path(path.parent)


def export_graph(folder: EncoderFolder) -> ov.Model:
    """Convert the checkpoint: inputs of GRAPH_INPUTS, all outputs of GraphOutput."""
    from retrieval.encoder.checkpoint.weights import load_head, load_transformer
    from retrieval.encoder.model.transformer import EncoderGraph

    module = EncoderGraph(load_transformer(folder), load_head(folder), states=True)
    return _converted(module, TokenBatch.of(EXAMPLE), GRAPH_INPUTS, tuple(GraphOutput))


def export_pair_graph(folder: EncoderFolder) -> ov.Model:
    """Convert a cross-encoder: inputs of PAIR_INPUTS, scores (S, 1) as the vectors."""
    from retrieval.encoder.checkpoint.cross_encoder_folder import HEADS
    from retrieval.encoder.checkpoint.weights import load_pair_head, load_transformer
    from retrieval.encoder.model.transformer import EncoderGraph

    head = load_pair_head(folder, HEADS[folder.config["model_type"]].tensors)
    pairs = TokenBatch.of(EXAMPLE, types=[[0] * len(text) for text in EXAMPLE])
    return _converted(EncoderGraph(load_transformer(folder), head), pairs, PAIR_INPUTS, (GraphOutput.VECTORS,))


def token_vector_module(folder: LateInteractionFolder) -> TokenVectorGraph:
    """Load a late-interaction model as a torch module, in float32."""
    from retrieval.encoder.checkpoint.weights import load_head, load_pair_head, load_transformer
    from retrieval.encoder.model.transformer import TokenVectorGraph

    inner = folder.encoder
    head = load_pair_head(inner, [STANFORD_PROJECTION]) if folder.inline_projection else load_head(inner)
    return TokenVectorGraph(load_transformer(inner), head).eval()


def export_token_graph(folder: LateInteractionFolder) -> ov.Model:
    """Convert a late-interaction model: inputs of TOKEN_INPUTS, vectors (B, L, dim)."""
    rows = TokenVectorRows.of([TextTokens(text, len(text) - 1) for text in EXAMPLE], len(EXAMPLE[0]))
    return _traced(token_vector_module(folder), rows.inputs(), TOKEN_INPUTS, (GraphOutput.VECTORS,))


def export_splade_graph(folder: SparseFolder) -> ov.Model:
    """Convert a SPLADE model: weights (S, vocabulary) as the vectors."""
    from retrieval.encoder.checkpoint.weights import load_splade_head, load_transformer
    from retrieval.encoder.model.transformer import EncoderGraph

    module = EncoderGraph(load_transformer(folder.passages), load_splade_head(folder))
    return _converted(module, TokenBatch.of(EXAMPLE), GRAPH_INPUTS, (GraphOutput.VECTORS,))


def _converted(
    module: nn.Module, example: TokenBatch, inputs: Mapping[str, int], outputs: Sequence[GraphOutput]
) -> ov.Model:
    rows = example.rows(max(example.lengths), shared=True)
    return _traced(module, rows.inputs(), inputs, outputs)


def _traced(
    module: nn.Module, example: Sequence[NDArray[np.int32]], inputs: Mapping[str, int], outputs: Sequence[GraphOutput]
) -> ov.Model:
    import openvino as ov
    import torch

    module.eval()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about shapes that are constants on purpose
        graph = ov.convert_model(module, example_input=tuple(map(torch.from_numpy, example)))
    _decompose_attention(graph)
    graph.set_rt_info(GRAPH_VERSION, VERSION_KEY)
    for port, (name, dimensions) in zip(graph.inputs, inputs.items(), strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(ov.PartialShape([-1] * dimensions))
    for port, output in zip(graph.outputs, outputs, strict=True):
        port.get_tensor().set_names({output.value})
    graph.validate_nodes_and_infer_types()
    return graph
