"""Charts of an evaluation as SVG, drawn by matplotlib.

The page sets the colours: dark, light or print.  matplotlib writes fixed colours.  So the charts use marker colours,
and the SVG gets the page's variables instead.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import MissingExtra
from retrieval.metrics.comparison import PairedComparison
from retrieval.util.cache_folder import cache_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, RULE = "#010203", "#010204"  # replaced by var(--ink) and var(--rule)
SERIES = ("#010211", "#010212", "#010213", "#010214", "#010215", "#010216")  # by var(--series-1) …
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))  # so that print and colour-blind readers tell them apart
WIDTH, HEIGHT = 6.4, 3.4  # inches; the SVG scales with the page


def draw_curves(
    positions: Sequence[float], curves: Mapping[str, Sequence[float]], x_label: str, y_label: str, *, log: bool = False
) -> str:
    """Draw the curves of systems, by name, over the same positions."""
    figure, axes = _figure(HEIGHT)
    for i, (name, values) in enumerate(curves.items()):
        colour, dash = SERIES[i % len(SERIES)], DASHES[i % len(DASHES)]
        axes.plot(positions, values, color=colour, linestyle=dash, marker="o", markersize=3, label=name)
    if log:
        axes.set_xscale("log")
        axes.set_xticks(list(positions), [f"{position:g}" for position in positions])
        axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(curves) > 1:
        axes.legend(frameon=False, labelcolor=INK)
    return _svg(figure)


def draw_differences(pair: PairedComparison, values: NDArray[np.float64]) -> str:
    figure, axes = _figure(HEIGHT)
    ordered = np.sort(values)[::-1]
    positions = np.arange(1, len(ordered) + 1)
    axes.fill_between(positions, ordered, where=(ordered >= 0).tolist(), step="mid", color=SERIES[0], linewidth=0)
    axes.fill_between(positions, ordered, where=(ordered <= 0).tolist(), step="mid", color=SERIES[1], linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("queries, sorted")
    axes.set_ylabel(f"{pair.deciding.measure}: {_escape(pair.b)} − {_escape(pair.a)}")
    return _svg(figure)


def draw_intervals(pairs: Sequence[PairedComparison]) -> str:
    """Draw the difference of each pair in each measure, with its 95 % interval."""
    rows = [(pair, difference) for pair in pairs for difference in pair.differences.values()]
    figure, axes = _figure(max(1.4, 0.5 + 0.34 * len(rows)))
    for row, (pair, difference) in enumerate(rows):
        colour = SERIES[pairs.index(pair) % len(SERIES)]
        axes.plot([difference.low, difference.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot([difference.difference], [row], color=colour, marker="o", markersize=5)
    axes.axvline(0, color=INK, linewidth=0.8)
    single = len(pairs) == 1
    labels = [found.measure if single else f"{found.measure} · {_escape(pair.b)}" for pair, found in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"difference{f' from {_escape(pairs[0].a)}' if single else ''}, 95 % interval")
    return _svg(figure)


def _figure(height: float) -> tuple[Figure, Axes]:
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))  # its list of fonts
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("report", "drawing a report") from error
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def _svg(figure: Figure) -> str:
    """Return the figure as an HTML element with text as text and the page's colours."""
    from matplotlib import rc_context

    target = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "attendex", "font.family": "sans-serif"}):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg))
    variables = {INK: "var(--ink)", RULE: "var(--rule)"}
    variables |= {colour: f"var(--series-{i})" for i, colour in enumerate(SERIES, start=1)}
    return re.sub(r"#0102[01][0-9a-f]", lambda found: variables[found[0]], svg)


def _escape(name: str) -> str:
    """Return the name without "$", which starts a formula in matplotlib."""
    return name.replace("$", "＄")
