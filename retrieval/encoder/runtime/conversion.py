"""The encoder as one graph, from token ids to token states and finished vectors, converted once and kept.

A converted encoder is a folder `model.xml` + `model.bin` in the cache, named after everything that decides what is in
it; it appears there whole or not at all.  Whoever finds it there needs neither torch nor the checkpoint's weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.token_batches import GRAPH_INPUTS, TokenBatch
from retrieval.errors import EncoderError
from retrieval.types import EncoderFingerprint
from retrieval.util.files import sync_path

if TYPE_CHECKING:
    import openvino as ov

logger = logging.getLogger(__name__)

GRAPH_VERSION = 4  # counts changes of what is exported
VERSION = ["attendex", "graph"]  # where a graph says which it is
MODEL, WEIGHTS = "model.xml", "model.bin"
SCORES, MIXED = "scores", "mixed"  # the two products of attention, at the end of their names


class Output(StrEnum):
    """What a graph is asked for."""

    VECTORS = "vectors"  # (S, dimension)
    STATES = "states"  # (B, L, width), of each token before pooling


def cache_folder() -> Path:
    """Where converted encoders are kept: $ATTENDEX_CACHE, else the user's cache directory."""
    chosen = os.environ.get("ATTENDEX_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attendex"


def converted(
    folder: EncoderFolder, fingerprint: EncoderFingerprint, core: ov.Core, output: Output = Output.VECTORS
) -> ov.Model:
    """The encoder's graph with one output, from the cache where it is there."""
    return narrowed(_converted(folder, fingerprint, core), output)


def narrowed(graph: ov.Model, output: Output) -> ov.Model:
    """The graph without its other outputs, and so without what only they need."""
    for port in graph.outputs:
        if output not in port.get_names():
            graph.remove_result(port.get_node())
    return graph


def unmasked(graph: ov.Model) -> ov.Model:
    """The same for rows that are full, one text each, of an encoder without windows and biases: no mask is added."""
    bare = graph.clone()
    for node in bare.get_ordered_ops():
        if node.get_type_name() == "Softmax":
            masked = node.input_value(0).get_node()
            node.input(0).replace_source_output(masked.input_value(0))
    bare.validate_nodes_and_infer_types()
    return bare


def _spell_out_attention(graph: ov.Model) -> None:
    """Attention as two products and a softmax, which the compiler makes one kernel of, the transposed keys included.

    ScaledDotProductAttention becomes such a kernel too, but with the keys copied in front of it.  Its scale is 1 here.
    """
    from openvino import opset13

    for node in graph.get_ordered_ops():
        if node.get_type_name() == "ScaledDotProductAttention":
            queries, keys, values, mask = (node.input_value(i) for i in range(4))
            scores = opset13.matmul(queries, keys, False, True)
            mixed = opset13.matmul(opset13.softmax(opset13.add(scores, mask), -1), values, False, False)
            for each, name in ((scores, SCORES), (mixed, MIXED)):
                each.set_friendly_name(f"{node.get_friendly_name()}/{name}")
            node.output(0).replace(mixed.output(0))


def _converted(folder: EncoderFolder, fingerprint: EncoderFingerprint, core: ov.Core) -> ov.Model:
    place = cache_folder() / "encoders" / _key(folder, fingerprint)
    if (place / MODEL).exists():
        try:
            return core.read_model(place / MODEL)
        except RuntimeError as error:
            logger.warning("%s cannot be read (%s) and is made again", place, error)
            shutil.rmtree(place, ignore_errors=True)
    graph = export(folder)
    try:
        save_graph(graph, place)
    except OSError as error:
        logger.warning("the converted encoder cannot be kept in %s (%s); every start converts it again", place, error)
    return graph


def _key(folder: EncoderFolder, fingerprint: EncoderFingerprint) -> str:
    import openvino as ov

    identity = {each: value for each, value in asdict(fingerprint).items() if each != "name"}
    shape = json.dumps(
        [GRAPH_VERSION, ov.__version__, identity, dict(folder.config), asdict(folder.head)], sort_keys=True
    )
    return hashlib.sha256(shape.encode()).hexdigest()[:32]


def read_quantized(path: Path, core: ov.Core) -> ov.Model:
    """The graph that `attendex quantize` wrote.  Raises EncoderError where an earlier version wrote it."""
    graph = core.read_model(path)
    if not graph.has_rt_info(VERSION) or int(graph.get_rt_info(VERSION).value) != GRAPH_VERSION:
        raise EncoderError(f"{path} was written by an earlier version; make it again with: attendex quantize ENCODER …")
    return graph


def save_graph(graph: ov.Model, place: Path) -> None:
    """Write the graph as the folder `place`, which appears whole; one that is there already is left."""
    import openvino as ov

    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        try:
            ov.save_model(graph, temporary / MODEL, compress_to_fp16=False)
        except RuntimeError as error:  # how the library reports a full disk
            raise OSError(str(error)) from error
        for path in (temporary / MODEL, temporary / WEIGHTS):
            sync_path(path)
        temporary.chmod(0o755)  # mkdtemp makes it private; another user may run the service
        with suppress(FileExistsError, OSError):
            temporary.rename(place)  # fails where another process was first, which is as good
        sync_path(place.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def export(folder: EncoderFolder) -> ov.Model:
    """Convert from the checkpoint.  Inputs: GRAPH_INPUTS, as `EncoderGraph` takes them; outputs: all of `Output`."""
    import openvino as ov
    import torch

    from retrieval.encoder.runtime.graph import OpenGraph

    graph = OpenGraph(folder).eval()
    rows = TokenBatch.of([[1] * 9, [1] * 4, [1] * 3]).rows(9, shared=True)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's remarks on shapes that are constants on purpose
        model = ov.convert_model(graph, example_input=tuple(map(torch.from_numpy, rows.inputs())))
    _spell_out_attention(model)
    model.set_rt_info(GRAPH_VERSION, VERSION)
    for port, (name, dimensions) in zip(model.inputs, GRAPH_INPUTS.items(), strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(ov.PartialShape([-1] * dimensions))
    for port, output in zip(model.outputs, Output, strict=True):
        port.get_tensor().set_names({output.value})
    model.validate_nodes_and_infer_types()
    return model
