"""A plot of recall against latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot(reports: Sequence[dict[str, Any]], rows: int, path: Path) -> None:
    """Plot the curves of all indexes to `path`; mark the points that Attendex chose."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "attendex"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    for number, report in enumerate(each for each in reports if each["curve"]):
        colour = f"C{number}"
        peer = report["name"].startswith("Index")
        axes.plot(
            [each["p50_ms"] for each in report["curve"]],
            [each["recall"] for each in report["curve"]],
            color=colour,
            linestyle="--" if peer else "-",
            marker=".",
            label=f"{report['name']}, {report['bytes_per_vector']:.0f} bytes per vector",
        )
        if not peer:
            axes.plot(report["points"][0]["p50_ms"], report["points"][0]["recall"], "o", color=colour, markersize=9)
    axes.set(xscale="log", xlabel="milliseconds per query, median, one thread", ylabel="recall@10 of held-out passages")
    axes.set_title(f"{rows:,} vectors; circles: what the tuned build uses", fontsize=10)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
