"""Figures of one family: one style, one colour per depth, ours over the printed ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogFormatter, MaxNLocator
from matplotlib.transforms import IdentityTransform
from scipy.optimize import isotonic_regression

from accel_core.curves import distance_at
from report import figure_data, paths

__all__ = ["DEPTH_COLOURS", "curves", "depth_colour", "diverged", "end_label", "label_at",
           "millions", "panels", "plain_ticks", "printed", "printed_curve",
           "use_style"]  # fmt: skip

PRINTED = paths.PRINTED

#: Okabe and Ito's palette: told apart with any colour vision, and in grey.
DEPTH_COLOURS = {1: "#0072B2", 2: "#D55E00", 3: "#009E73", 4: "#CC79A7", 8: "#E69F00"}
INK = "#222222"


def use_style() -> None:
    """The book's style, from matplotlib's defaults: vector figures, the same bytes every time."""
    plt.rcdefaults()  # whatever a user's matplotlibrc says
    sns.set_theme(
        context="notebook",
        style="ticks",
        rc={
            "figure.figsize": (7.2, 3.8),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#e4e4e4",
            "grid.linewidth": 0.6,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "legend.fontsize": 10,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "svg.hashsalt": "accel_core",
            "svg.fonttype": "path",
        },
    )
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None})
    except ImportError:  # not in a notebook
        return
    if (shell := get_ipython()) and os.environ.get("ACCEL_FIGURE_DATA"):
        figure_data.register(shell.display_formatter)


def depth_colour(depth: int) -> str:
    """The colour of a depth, the same on every page."""
    if depth not in DEPTH_COLOURS:
        raise ValueError(f"depth = {depth!r} has no colour: there are {sorted(DEPTH_COLOURS)}")
    return DEPTH_COLOURS[depth]


def panels(columns: int, rows: int = 1, **options) -> tuple[Figure, Sequence[Axes]]:
    """A figure with a row of panels, a flat sequence of axes."""
    options.setdefault("figsize", (3.9 * columns if columns > 1 else 6.4, 3.7 * rows))
    figure, axes = plt.subplots(rows, columns, squeeze=False, **options)
    for each in axes.flat:  # a logarithmic axis sets its own
        each.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        each.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if abs(x) >= 1000 else f"{x:g}")
    return figure, axes.ravel()


@lru_cache(maxsize=1)
def _printed() -> pd.DataFrame:
    return pd.read_csv(PRINTED)


def printed_curve(figure: str, curve: str) -> tuple[np.ndarray, np.ndarray]:
    """(iteration, value) of a printed curve, as digitised. `KeyError` names those there are."""
    table = _printed()
    rows = table[(table.figure == figure) & (table.curve == curve)]
    if rows.empty:
        known = sorted({*zip(table.figure, table.curve, strict=True)})
        raise KeyError(f"no printed curve {(figure, curve)}: there are {known}")
    return rows.iteration.to_numpy(), rows.value.to_numpy()


def printed(axes: Axes, figure: str, curve: str, **style) -> None:
    """Draws a printed curve: thin and black, so that it can be seen on ours."""
    style = {"color": "black", "lw": 1.0, "ls": (0, (4, 2)), "zorder": 4} | style
    axes.plot(*printed_curve(figure, curve), **style)


class _EndLabel(Annotation):
    """A text beside the last point of a curve; those of one panel stand apart, above its axis.

    They are set apart when drawn: only then are the scales and limits of the axes known.
    """

    def update_positions(self, renderer) -> None:
        labels = [text for text in self.axes.texts if isinstance(text, _EndLabel)]
        points = self.axes.transData.transform([label.xy for label in labels])
        pixels = self.figure.dpi / 72  # of a point
        height = 1.3 * pixels * max(label.get_fontsize() for label in labels)
        order = np.lexsort(np.round(points, 3).T)  # from the lowest, of equals the left one
        apart = height * np.arange(len(labels))
        # The least moves that keep the order and leave a line's height between neighbours.
        least = self.axes.bbox.y0 + height / 2
        heights = isotonic_regression(points[order, 1] - apart).x.clip(least) + apart
        for number, y in zip(order, heights, strict=True):
            labels[number].set_position((3, (y - points[number, 1]) / pixels))
        super().update_positions(renderer)


def label_at(axes: Axes, x: float, y: float, text: str, **style) -> None:
    """Writes `text` right of the point (x, y), apart from the panel's other ones."""
    style = {"fontsize": 9, "va": "center", "ha": "left", "zorder": 5} | style
    style["transform"] = IdentityTransform()  # as `Axes.annotate` does: the text sets its own
    label = _EndLabel(text, (x, y), (3, 0), textcoords="offset points", **style)
    axes.add_artist(label).set_clip_on(False)


def end_label(axes: Axes, figure: str, curve: str, text: str, **style) -> None:
    """Writes `text` beside the last point of a printed curve, apart from the panel's other ones."""
    iteration, value = printed_curve(figure, curve)
    label_at(axes, iteration[-1], value[-1], text, **style)


def curves(
    axes: Axes, runs: pd.DataFrame, colour: str, label: str | None = None, *,
    per_rate: bool = False, start: float = 1.0, points: int = 150, **style,
) -> None:  # fmt: skip
    """Median over the starts of these runs' distance curves, and their range as a band.

    `per_rate`: against rate × iterations instead of iterations. A start that has diverged makes the
    median infinite once it is the middle one; the band ends with the last run that lives.
    """
    figure_data.shows(axes.figure, runs.key)
    end = max(iteration[-1] for iteration in runs.iteration)
    # enough points for either kind of axis
    grids = (grid(max(start, 1), end, points) for grid in (np.geomspace, np.linspace))
    at = np.unique(np.concatenate(list(grids)))
    values = np.array(
        [distance_at(i, d, at) for i, d in zip(runs.iteration, runs.distance, strict=True)]
    )
    x = at * runs.rate.iloc[0] if per_rate else at
    median, low, high = np.median(values, 0), values.min(0), values.max(0)
    axes.plot(x, np.where(np.isfinite(median), median, np.nan), color=colour, label=label, **style)
    ok = np.isfinite(low)
    high = np.where(
        np.isfinite(high), high, np.nanmax(np.where(np.isfinite(values), values, np.nan), 0)
    )
    axes.fill_between(x[ok], low[ok], high[ok], color=colour, alpha=0.22, lw=0)


def diverged(axes: Axes, x: Iterable[float], colour: str, height: float = 0.97) -> None:
    """Marks runs that diverged with a cross at this height of the panel (1: its upper edge)."""
    x = list(x)
    if not x:
        return  # an empty line off the axes would spoil the layout
    at = axes.get_xaxis_transform()
    axes.plot(x, [height] * len(x), "x", color=colour, ms=5, mew=1.2, transform=at, clip_on=False)


class _Plain(LogFormatter):
    """Labels the ticks that matplotlib does, in plain digits."""

    def __call__(self, x, pos=None):
        plain = f"{x:,.0f}" if x >= 1000 else f"{x:g}"
        return plain if super().__call__(x, pos) else ""


def millions(axes: Axes) -> None:
    """A linear axis of iterations, in millions."""
    axes.set_xlabel("iterations, in millions")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}")


def plain_ticks(axes: Axes) -> None:
    """Plain digits on a logarithmic y axis that spans a decade or two."""
    axes.yaxis.set_major_formatter(_Plain())
    axes.yaxis.set_minor_formatter(_Plain())
