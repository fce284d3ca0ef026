"""Two figures of the chapters: the walks' ratios, and the map."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from report import figure_data
from report.figures import INK, depth_colour, label_at, panels

__all__ = ["map_of", "ratios"]

SHOWN = (0.1, 4)  # ratios beyond are drawn at the edge
COLOURS = 8  # speed-ups beyond it, or below its inverse, have the colour of the scale's end
HALO = [withStroke(linewidth=3, foreground="white")]  # marks are seen on dark cells, too


def ratios(ax: Axes, walked: pd.DataFrame) -> None:
    """The ratio of distances at each step of a walk (`walk.walked`): medians over five starts as
    dots, their range as bars, depth 2 above depth 3."""
    for depth, own in walked.groupby("depth"):
        colour = depth_colour(depth)
        for row in own.itertuples():
            low, high, middle = np.clip([row.gain.low, row.gain.high, row.gain.median_low], *SHOWN)
            y = row.step + 0.16 * (2 * depth - 5)
            ax.plot([low, high], [y, y], color=colour, linewidth=2, alpha=0.6)
            ax.plot(middle, y, "o", color=colour)
        label_at(ax, 1.06 * middle, y, f"depth {depth}", color=colour)
    ax.axvline(1, color="#222222", linewidth=0.8)
    ax.set_xscale("log")
    ax.set_xlabel("one layer's distance over the network's\n(right of 1: depth ahead)")
    ticks = (0.1, 0.2, 0.5, 1, 2, 4)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.tick_params(which="minor", labelbottom=False)
    names = walked.drop_duplicates("step")
    ax.set_yticks(names.step, names.what)
    ax.invert_yaxis()
    figure_data.shows(ax.figure, walked["keys"].explode())


def map_of(cells: pd.DataFrame) -> Figure:
    """Median speed-ups (`depth_map.map_table`) by loss and condition number, a panel per depth
    (down) and start (across); a circle where undecided, a cross where the formula is wrong."""
    starts, depths = list(dict.fromkeys(cells.start)), sorted(cells.depth.unique())
    figure, axes = panels(len(starts), len(depths), figsize=(7.2, 2.4 * len(depths)), sharey=True)
    kinds = [(depth, start) for depth in depths for start in starts]
    for ax, (depth, start) in zip(axes, kinds, strict=True):
        own = cells[(cells.depth == depth) & (cells.start == start)]
        middle = [s.median_low or s.median_high for s in own.speedup]
        grid = own.assign(middle=np.log2(np.clip(middle, 1 / COLOURS, COLOURS))).pivot(
            index="p", columns="condition", values="middle"
        )
        ends = np.log2(COLOURS)
        image = ax.imshow(grid, cmap="PuOr", vmin=-ends, vmax=ends, origin="lower", aspect="auto")
        for row in own.itertuples():
            at = grid.columns.get_loc(row.condition), grid.index.get_loc(row.p)
            wrong = row.decided and row.fast != row.predicted_fast
            mark = "x" if wrong else "" if row.decided else "o"
            ax.plot(*at, mark, mfc="none", color=INK, ms=8, path_effects=HALO)
        ax.set_xticks(range(grid.shape[1]), ["10⁴" if c == 1e4 else f"{c:g}" for c in grid.columns])
        ax.set_yticks(range(len(grid)), [f"ℓ{p:g}" for p in grid.index])
        ax.set_title(f"{start.replace('_', ' ')}, depth {depth}", fontsize=11)
        ax.grid(visible=False)
    figure.supxlabel("condition number", fontsize=11)
    bar = figure.colorbar(image, ax=list(axes), label="speed-up over one layer", extend="both")
    bar.set_ticks(range(-3, 4), labels=["⅛", "¼", "½", "1", "2", "4", "8"])
    figure_data.shows(figure, cells["keys"].explode())
    return figure
