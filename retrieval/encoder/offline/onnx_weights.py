"""Read the weights of a dynamically quantised ONNX export of a BERT, in float32.

`onnxruntime.quantization.quantize_dynamic` writes these files.  It stores a weight W of a product as the int8 matrix
X_quantized with X_scale and X_zero_point, where X is a number of the exporter; the node that multiplies the scales
still has the name of the module.  A table of embeddings keeps its name.  OpenVINO reads the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UnsupportedCheckpoint

QUANTIZED = "_quantized"
SCALES_PRODUCT = re.compile(r"/(?P<module>.+)/[^/]+_scales_mul")
FLOAT_WEIGHT = re.compile(r"[\w.]+\.(weight|bias)")


def read_onnx_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights by the names of transformers; matrices are (outputs, inputs).

    Raises UnsupportedCheckpoint for a file of another kind.
    """
    import openvino as ov

    try:
        graph = ov.Core().read_model(path)
    except RuntimeError as error:
        raise UnsupportedCheckpoint(f"{path}: OpenVINO cannot read the file ({error}); download it again") from error
    constants = {node.get_friendly_name(): node for node in graph.get_ops() if node.get_type_name() == "Constant"}
    weights = {
        name: np.array(node.data, dtype=np.float32) for name, node in constants.items() if FLOAT_WEIGHT.fullmatch(name)
    }
    for name in constants:
        if name.endswith(QUANTIZED):
            target, values = _dequantize(name.removesuffix(QUANTIZED), constants)
            weights[target] = values
    if not weights:
        raise UnsupportedCheckpoint(f"{path}: has no weights of a quantised BERT; use the file of the preset's package")
    return weights


def _dequantize(stored: str, constants: dict[str, Any]) -> tuple[str, NDArray[np.float32]]:
    """Return the name of a module's weight and its values, scaled to float32."""
    scale = constants[f"{stored}_scale"]
    offsets = np.array(constants[f"{stored}_zero_point"].data, dtype=np.float32)
    grid = np.array(constants[stored + QUANTIZED].data, dtype=np.float32)
    values = (grid - offsets) * np.array(scale.data, dtype=np.float32)
    for port in scale.output(0).get_target_inputs():
        product = SCALES_PRODUCT.fullmatch(port.get_node().get_friendly_name())
        if product:
            return f"{product['module'].replace('/', '.')}.weight", np.ascontiguousarray(values.T)
    return stored, values
