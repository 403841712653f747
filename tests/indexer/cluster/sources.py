"""Sources of short documents, and the files of a collection without the names that differ from build to build."""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path

WORDS = [
    "heat",
    "flow",
    "wing",
    "plate",
    "shock",
    "layer",
    "boundary",
    "pressure",
    "mach",
    "cone",
    "stress",
    "shell",
    "jet",
]


def write_sources(folder: Path, version: int, files: int = 4, documents: int = 60) -> dict[str, str]:
    """Write files of documents; return the texts by id.  Each version has other texts."""
    folder.mkdir(exist_ok=True)
    chosen = random.Random(version)
    texts = {}
    for number in range(files):
        lines = []
        for position in range(documents):
            name, words = f"{number}-{position}", chosen.choices(WORDS, k=chosen.randint(5, 40))
            texts[name] = " ".join([f"version {version}", *words])
            record = {"_id": name, "title": " ".join(words[:3]), "text": texts[name], "year": 1900 + position}
            lines.append(json.dumps(record))
        (folder / f"part{number}.jsonl").write_text("\n".join(lines))
    (folder / "note.md").write_text(f"# Note {version}\n\nabout heat\n")
    return texts


def digests(collection: Path) -> dict[str, str]:
    """Return the digest of each file but manifests, by its path without random parts."""
    found: dict[str, str] = {}
    for path in sorted(collection.rglob("*")):
        if path.is_file() and "manifest" not in path.name and "generations" not in path.parts:
            name = re.sub(r"/(\d{6})-[0-9a-f]{8}/", r"/\1/", path.relative_to(collection).as_posix())
            name = re.sub(r"/lexical/[0-9a-f]{16}/", "/lexical/", name)
            assert name not in found
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
