"""`attendex index` names a better encoder when the default one cannot read the text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indexer.building.readability_sample import MOST_UNREADABLE, watch_readability
from indexer.commands.encoder_advice import EncoderAdvice
from retrieval.encoder.loading import load_encoder
from retrieval.search.readability import Readability
from retrieval.types import Document
from service.cli import app

CHINESE = ["月亮绕着地球转，形状由圆变弯。", "淘米两三遍以后加水煮饭。", "牛是人们为了牛奶而饲养的动物。"]
ENGLISH = [f"Text number {number} is about the moon and about rice." for number in range(12)]


@pytest.fixture(scope="module")
def readability() -> Readability:
    return Readability(load_encoder().tokenizer)


def documents(texts: Sequence[str]) -> list[Document]:
    return [Document(str(number), text) for number, text in enumerate(texts)]


def index(folder: Path, texts: Sequence[str], *options: str) -> str:
    """Index texts into `folder`; return the output on one line."""
    source = folder / "texts.jsonl"
    lines = [json.dumps({"id": str(number), "text": text}) + "\n" for number, text in enumerate(texts)]
    source.write_text("".join(lines), encoding="utf-8")
    done = CliRunner().invoke(app, ["index", str(source), "--into", str(folder / "made"), *options])
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def test_chinese_text_gets_the_commands_once(tmp_path: Path) -> None:
    shown = index(tmp_path, CHINESE)
    again = f"attendex index {tmp_path}/texts.jsonl --into {tmp_path}/made --encoder multilingual"
    assert "the default encoder cannot read 100% of the first documents" in shown
    assert again in shown
    assert f"attendex reembed {tmp_path}/made --encoder multilingual" in shown
    assert shown.count("cannot read") == 1
    shown = index(tmp_path, [*CHINESE, "山上有很多树。"])  # not the first build: only the end speaks
    assert "of the first documents" not in shown
    assert "the encoder cannot read 100% of the collection" in shown


def test_english_text_and_a_chosen_encoder_get_no_advice_at_the_start(tmp_path: Path) -> None:
    assert "cannot read" not in index(tmp_path, ENGLISH)
    (tmp_path / "other").mkdir()
    shown = index(tmp_path / "other", CHINESE, "--encoder", "english-small")
    assert "of the first documents" not in shown
    assert "of the collection" in shown


@pytest.mark.parametrize(("chinese", "english"), [(3, 0), (2, 3), (1, 9), (0, 3)])
def test_more_than_a_fifth_decides(readability: Readability, chinese: int, english: int) -> None:
    batch = documents([*CHINESE[:chinese], *ENGLISH[:english]])
    said: list[float] = []
    assert list(watch_readability([[], batch, documents(CHINESE)], readability, said.append)) == [
        [],
        batch,
        documents(CHINESE),
    ]
    share = chinese / len(batch)
    assert said == ([pytest.approx(share, abs=0.05)] if share > MOST_UNREADABLE else [])


def test_the_batches_are_read_one_at_a_time(readability: Readability) -> None:
    read = []

    def batches() -> Iterator[list[Document]]:
        for number in range(3):
            read.append(number)
            yield documents(CHINESE)

    watched = watch_readability(batches(), readability, lambda _: None)
    next(watched)
    assert read == [0]


def test_a_preset_that_is_here_need_not_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATTENDEX_CACHE", str(tmp_path))
    EncoderAdvice(["a folder"], tmp_path).at_start(0.5)
    assert "attendex encoders get multilingual && attendex index 'a folder' --into" in capsys.readouterr().err
    (tmp_path / "presets" / "multilingual@hub").mkdir(parents=True)
    EncoderAdvice(["a folder"], tmp_path).at_start(0.5)
    assert "encoders get" not in capsys.readouterr().err
