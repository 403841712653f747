"""Test int8 folders, and how they relate to the float folders they were made from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from retrieval.encoder.checkpoint.model_folder import open_folder
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.runtime.conversion import (
    GRAPH_VERSION,
    MIXED,
    SCORES,
    VERSION_KEY,
    GraphOutput,
    export_graph,
    keep_output,
    read_quantized,
)
from retrieval.encoder.runtime.quantization import quantize, write_quantized
from retrieval.errors import EncoderError, InputError, MissingExtra

MakeFolder = Callable[..., Path]  # the fixture of conftest.py

CALIBRATION = [f"text number {i} about the {word}" for i in range(4) for word in ("heart", "lungs", "liver " * 20)]


@pytest.fixture(scope="module")
def pair(make_folder: MakeFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a float folder and an int8 folder from it."""
    folder = open_folder(make_folder())
    out = tmp_path_factory.mktemp("made") / "below" / "int8"
    write_quantized(folder, quantize(folder, keep_output(export_graph(folder), GraphOutput.VECTORS), CALIBRATION), out)
    return folder.path, out


def test_an_int8_folder_is_an_encoder_of_its_own(pair: tuple[Path, Path]) -> None:
    floats, made = (load_encoder(path) for path in pair)
    assert made.runtime.precision == "int8"
    assert made.fingerprint.weights_sha256 != floats.fingerprint.weights_sha256
    assert made.fingerprint.quantized_from == floats.fingerprint.weights_sha256
    vectors = made.encode_passages(CALIBRATION)
    cosines = (vectors * floats.encode_passages(CALIBRATION)).sum(1)
    assert 0.95 < cosines.mean() < 0.999999
    # either may query the other's vectors
    assert floats.fingerprint.differences(made.fingerprint) == []
    assert made.fingerprint.differences(floats.fingerprint) == []


def test_an_int8_folder_still_runs_in_floats(pair: tuple[Path, Path]) -> None:
    floats, made = (load_encoder(path, precision="f32") for path in pair)
    np.testing.assert_allclose(made.encode_queries(["liver"]), floats.encode_queries(["liver"]), atol=1e-6)
    assert made.fingerprint.weights_sha256 == floats.fingerprint.weights_sha256
    assert made.fingerprint.quantized_from == ""


def test_int8_runs_on_openvino_alone(pair: tuple[Path, Path]) -> None:
    with pytest.raises(EncoderError, match="OpenVINO only"):
        load_encoder(pair[1], runtime="torch")


def test_other_weights_remain_other_weights(pair: tuple[Path, Path], make_folder: MakeFolder) -> None:
    other = load_encoder(make_folder(seed=5)).fingerprint
    assert load_encoder(pair[1]).fingerprint.differences(other)[0].startswith("weights_sha256")


def test_nothing_is_overwritten(pair: tuple[Path, Path]) -> None:
    floats, made = pair
    with pytest.raises(EncoderError, match="exists already"):
        write_quantized(open_folder(floats), ov.Model([], [], "empty"), made)


def test_a_source_without_words_is_named(make_folder: MakeFolder) -> None:
    folder = open_folder(make_folder())
    with pytest.raises(InputError, match="no text to calibrate"):
        quantize(folder, export_graph(folder), [])


def test_a_missing_extra_says_how_to_get_it(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    folder = open_folder(make_folder())
    with pytest.raises(MissingExtra, match=r"pip install 'nncf>=3\.0'"):
        quantize(folder, export_graph(folder), CALIBRATION)


def test_an_int8_encoder_is_explained_by_its_floats(pair: tuple[Path, Path]) -> None:
    floats, made = (load_encoder(path, runtime="openvino").inspector for path in pair)
    assert floats is not None
    assert made is not None
    (expected,), (found,) = floats.states(CALIBRATION[:1]), made.states(CALIBRATION[:1])
    np.testing.assert_allclose(found.states, expected.states, atol=1e-6)


def test_attention_stays_in_floats(pair: tuple[Path, Path]) -> None:
    graph = ov.Core().read_model(pair[1] / "int8" / "model.xml")
    products = [node for node in graph.get_ordered_ops() if node.get_friendly_name().endswith((SCORES, MIXED))]
    assert len(products) == 2 * sum(node.get_type_name() == "Softmax" for node in graph.get_ordered_ops())
    for node in products:
        assert "FakeQuantize" not in {value.get_node().get_type_name() for value in node.input_values()}


def test_a_graph_of_an_earlier_version_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    core = ov.Core()
    graph = core.read_model(pair[1] / "int8" / "model.xml")
    graph.set_rt_info(GRAPH_VERSION - 1, VERSION_KEY)
    ov.save_model(graph, tmp_path / "old.xml")
    with pytest.raises(EncoderError, match="earlier version"):
        read_quantized(tmp_path / "old.xml", core)
