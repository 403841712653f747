"""Measure the memory of indexing, and the time of a search as a whole process.

    python -m benchmarks.footprint SOURCE "a query"

The script indexes SOURCE into a new collection with `attendex index`, samples the memory of the process (Linux), and
then times `attendex search` on the collection.  Resident memory counts mapped files, which the system may reclaim at
any time; anonymous memory belongs to the process itself.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEBIBYTE = 1 << 20


def main() -> None:
    """Print seconds and peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("query")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attendex-") as folder:
        collection = f"{folder}/collection"
        started = time.perf_counter()
        peaks = run_and_sample("index", options.source, "--into", collection)
        print(f"index: {time.perf_counter() - started:.1f} s", *(f"{k} {v:.0f} MB" for k, v in peaks.items()), sep=", ")
        started = time.perf_counter()
        run_and_sample("search", collection, options.query)
        print(f"search, whole process: {time.perf_counter() - started:.2f} s")


def run_and_sample(*arguments: str) -> dict[str, float]:
    """Run an attendex command and return its sampled memory peaks by kind, in MiB."""
    process = subprocess.Popen([sys.executable, "-m", "service", *arguments])
    peaks = {"VmHWM": 0.0, "RssAnon": 0.0}
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            break
        for kind in peaks:
            if found := re.search(rf"^{kind}:\s+(\d+) kB", status, re.MULTILINE):
                peaks[kind] = max(peaks[kind], int(found[1]) * 1024 / MEBIBYTE)
        time.sleep(0.05)
    if process.wait():
        raise SystemExit(f"attendex {' '.join(arguments)} exited with {process.returncode}")
    return peaks


if __name__ == "__main__":
    main()
