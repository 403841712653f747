"""Compare the speed of the encoder presets that are on this machine.

    python -m benchmarks.encoders [--tokens 256] [--texts 16] [--rounds 3]

Every preset encodes texts of the same number of its own tokens on one core, in turns.  The script counts processor
time, which other programs on the machine change little, takes the best round of each preset, and prints the ratio to
english-small.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

from benchmarks.machine import describe
from retrieval.encoder.checkpoint.hub import installed_preset
from retrieval.encoder.checkpoint.presets import ENGLISH_SMALL, PRESETS, PresetKind
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder

SENTENCE = "The liver stores glycogen and releases glucose into the blood when a meal is long past. "


def text_of(encoder: SentenceEncoder, tokens: int) -> str:
    """Return a text that has `tokens` tokens together with its prompt."""
    prompt = len(encoder.tokenizer.whole_encoding(encoder.fingerprint.passage_prompt).ids)
    text = SENTENCE * tokens
    return text[: int(encoder.tokenizer.spans(text)[tokens - prompt - 1, 1])]


def seconds(encoder: SentenceEncoder, texts: Sequence[str]) -> float:
    """Return the processor time of encoding the texts."""
    started = time.process_time()
    encoder.encode_passages(texts)
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    names = [name for name, preset in PRESETS.items() if preset.kind is PresetKind.ENCODER and installed_preset(preset)]
    encoders = {name: load_encoder(name) for name in names}
    texts = {name: [text_of(encoder, options.tokens)] * options.texts for name, encoder in encoders.items()}
    rounds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds + 1):
        for name, encoder in encoders.items():
            rounds[name].append(seconds(encoder, texts[name]))
    best = {name: min(times[1:]) for name, times in rounds.items()}  # the first round compiles
    print(describe())
    for name, encoder in encoders.items():
        speed, ratio = options.texts / best[name], best[ENGLISH_SMALL.name] / best[name]
        print(
            f"{name:14} {speed:6.1f} texts/s a core, {ratio:.2f} of {ENGLISH_SMALL.name} "
            f"({encoder.fingerprint.name}, {encoder.runtime.name}, {encoder.runtime.precision})"
        )


if __name__ == "__main__":
    main()
