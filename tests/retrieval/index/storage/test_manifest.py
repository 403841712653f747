"""Manifests: the same record back, and no byte of it changed without notice."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.errors import CorruptCollection, NotACollection
from retrieval.index.storage.checksums import FileRecord
from retrieval.index.storage.manifest import (
    AnnIndexRecord,
    DeletionsRecord,
    Manifest,
    PostingsRecord,
    SegmentRecord,
    decode_manifest,
    encode_manifest,
    read_manifest,
    seal,
    unseal,
)
from retrieval.index.storage.settings import Canaries, ChunkSettings, CollectionSettings, LexicalSettings
from retrieval.types import EncoderFingerprint, FieldType

PATH = Path("manifest.json")
FILE = FileRecord("vectors.npy", 3 << 20, "ab" * 32, (b"1" * 32, b"2" * 32, b"3" * 32))


@pytest.fixture
def manifest() -> Manifest:
    encoder = EncoderFingerprint("mini", "w", "t", "mean", True, "query: ", "", 256, 4)
    canaries = Canaries(("eins", "二"), np.eye(2, 4, dtype=np.float32))
    segment = SegmentRecord(
        name="000001-aa",
        documents=5,
        passages=9,
        files=(FILE, FileRecord("ids.npy", 7, "cd" * 32)),
        deletions=DeletionsRecord(FileRecord("000002-aa.npy", 9, "ef" * 32), 2, 3),
        ann_index=AnnIndexRecord(
            FileRecord("hnsw.faiss", 100, "01" * 32), {"recall": 0.98}, FileRecord("copies.npy", 4, "67" * 32)
        ),
    )
    return Manifest(
        generation=2,
        created=datetime(2024, 5, 1, 12, 30, 1, 5, tzinfo=UTC),
        cause="index “a”.jsonl",
        settings=CollectionSettings(
            encoder,
            "torch",
            "f32",
            canaries,
            {"year": FieldType.NUMBER},
            ChunkSettings("whole"),
            LexicalSettings(k1=0.9),
        ),
        schema={"year": FieldType.NUMBER},
        segments=(segment,),
        lexical=PostingsRecord("0011", (FileRecord("words", 8, "23" * 32),)),
        next_key=9,
        unreadable_share=0.25,
    )


def test_the_same_record_comes_back(manifest: Manifest) -> None:
    data = encode_manifest(manifest)
    read = decode_manifest(data, PATH)
    assert encode_manifest(read) == data
    assert read.segments == manifest.segments
    assert read.lexical == manifest.lexical
    assert read.encoder == manifest.encoder
    assert read.created == manifest.created
    assert np.array_equal(read.settings.canaries.vectors, manifest.settings.canaries.vectors)
    assert (read.documents, read.passages) == (3, 6)
    assert json.loads(data)["generation"] == 2  # plain JSON for other programs


def test_every_path_is_named_once(manifest: Manifest) -> None:
    assert sorted(map(str, manifest.paths())) == [
        "deletions/000002-aa.npy",
        "lexical/0011/words",
        "segments/000001-aa/copies.npy",
        "segments/000001-aa/hnsw.faiss",
        "segments/000001-aa/ids.npy",
        "segments/000001-aa/vectors.npy",
    ]


def test_every_flipped_bit_is_noticed(manifest: Manifest) -> None:
    data = encode_manifest(manifest)
    for bit in range(0, len(data) * 8, 3):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptCollection, NotACollection)):
            decode_manifest(bytes(changed), PATH)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"checksum": "x"}'])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptCollection, match=r"manifest\.json: is damaged"):
        decode_manifest(data, PATH)


def changed(manifest: Manifest, **members: Any) -> bytes:
    return seal({**unseal(encode_manifest(manifest), PATH), **members})


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (2, "format 2 is newer than 1, which this Attendex reads; upgrade it"),
        (0, "format 0 is older than 1, .*; index the documents again"),
        (None, "format is None, not a number; it is no manifest"),
        ("1", "format is '1', not a number"),
        (1.5, "format is 1.5, not a number"),
        ([1], r"format is \[1\], not a number"),
    ],
)
def test_another_format_says_what_to_do(manifest: Manifest, number: Any, message: str) -> None:
    with pytest.raises(NotACollection, match=message):
        decode_manifest(changed(manifest, format=number), PATH)


def test_settings_of_another_version_are_named(manifest: Manifest) -> None:
    settings = unseal(encode_manifest(manifest), PATH)["settings"]
    later = {**settings, "lexical": {**settings["lexical"], "analysis": 9}}
    with pytest.raises(CorruptCollection, match=r"cannot use: text analysis 9 is unknown"):
        decode_manifest(changed(manifest, settings=later), PATH)


@pytest.mark.parametrize(
    "members", [{"segments": None}, {"settings": {}}, {"created": "now"}, {"schema": {"a": "int"}}]
)
def test_a_sealed_document_that_is_no_manifest_is_refused(manifest: Manifest, members: Any) -> None:
    with pytest.raises(CorruptCollection, match="not a manifest"):
        decode_manifest(changed(manifest, **members), PATH)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", "a/b", ""])
def test_names_do_not_lead_out_of_the_collection(manifest: Manifest, name: str) -> None:
    segment = manifest.segments[0]
    for evil in (
        replace(manifest, segments=(replace(segment, name=name),)),
        replace(manifest, segments=(replace(segment, files=(replace(FILE, name=name),)),)),
        replace(manifest, lexical=PostingsRecord(name, ())),
    ):
        with pytest.raises(CorruptCollection, match="is not the name of a file"):
            decode_manifest(encode_manifest(evil), PATH)


def test_a_directory_without_a_manifest_is_no_collection(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NotACollection, match="make one with `attendex index`"):
            read_manifest(path)
