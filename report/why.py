"""The WHY figure: what caps the rate along the way, and which directions of the data are learnt.

Drawn from the record alone: see `schedules.Steepness`.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from report.experiments.steepness import DEPTHS, steepness
from report.figures import depth_colour, label_at
from report.record import lookup

__all__ = ["draw_why", "why_table"]

NAMED = {1: "1 layer", 2: "2 layers", 3: "3 layers"}
LEFT = -3  # of the heat map's colours: a thousandth of the error and less look the same
LEAST = 1e-6  # of the rates' axis: before a deep network leaves zero its rates are far lower


def why_table() -> pd.DataFrame:
    """A row a loss and depth, at the tuned rate: p, depth, rate, and at `iteration` (T,) the limit
    2/sharpness of one layer's loss there, the effective rates `across` and `along` W_e, and
    `error` (T, d) in the eigendirections of XᵀX/n, the steepest first."""
    rows = lookup([task.key for task in steepness()], "steepness").values()
    return pd.DataFrame(
        {name: row.spec[name] for name in ("p", "depth", "rate")}
        | row.series
        | {"limit": 2 / row.series["sharpness"],
           "error": row.arrays["error"].reshape(len(row.series["iteration"]), -1)}
        for row in rows
    )  # fmt: skip


def draw_why(table: pd.DataFrame, depths: Sequence[int] = DEPTHS) -> Figure:
    """ℓ2 beside ℓ4. Above: one layer's limit where each model is (dashed, 2/sharpness) and the
    effective rates of each model, from across W_e to along it (band). Below: by depth, how much of
    the error at the start is left in each eigendirection."""
    losses = sorted(table.p.unique())
    heights = [3.2, *[0.9] * len(depths)]
    figure, axes = plt.subplots(
        1 + len(depths), len(losses), figsize=(9.6, 6.6), sharex=True, squeeze=False,
        height_ratios=heights, layout="constrained",
    )  # fmt: skip
    for column, p in zip(axes.T, losses, strict=True):
        chosen = {d: table[table.p.eq(p) & table.depth.eq(d)].iloc[0] for d in depths}
        _rates(column[0], chosen)
        column[0].set_title(f"ℓ{p:g}", loc="left")
        for panel, (depth, row) in zip(column[1:], chosen.items(), strict=True):
            image = _errors(panel, depth, row)
        column[-1].set_xlabel("iteration")
    axes[0, 0].set_ylabel("learning rate")
    for panel, depth in zip(axes[1:, 0], depths, strict=True):
        panel.set_ylabel(NAMED.get(depth, f"{depth} layers"), color=depth_colour(depth))
    bar = figure.colorbar(
        image, ax=axes[1:, :], location="bottom", aspect=50, shrink=0.7, pad=0.02,
        ticks=[LEFT, LEFT + 1, LEFT + 2, 0],
    )  # fmt: skip
    bar.ax.set_xticklabels(["0.001", "0.01", "0.1", "1"])
    bar.set_label("error left, by eigendirection")
    return figure


def _rates(axes: Axes, chosen: dict[int, pd.Series]) -> None:
    for depth, row in chosen.items():
        colour, at = depth_colour(depth), np.maximum(row.iteration, 0.7)  # 0 has no logarithm
        axes.plot(at, row.limit, color=colour, lw=1, ls=(0, (4, 2)))
        axes.plot(at, row.along, color=colour, lw=1.8)
        axes.fill_between(at, row.across, row.along, color=colour, alpha=0.22, lw=0)
        label_at(axes, at[-1], row.along[-1], NAMED.get(depth, str(depth)), color=colour)
    first = chosen[min(chosen)]
    label_at(axes, first.iteration[-1], first.limit[-1], "limit", color="0.35")
    axes.set(xscale="log", yscale="log", xlim=(0.7, 1.05e6))
    highest = max(max(row.limit.max(), row.along.max()) for row in chosen.values())
    axes.set_ylim(LEAST, 2 * highest)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(LogLocator(100, numticks=10))


def _errors(axes: Axes, depth: int, row: pd.Series):
    left = np.log10(np.maximum(row.error / row.error[0], 10.0 ** (LEFT - 1)))
    at = np.maximum(row.iteration, 0.7)
    image = axes.pcolormesh(
        at, np.arange(left.shape[1]), left.T, cmap="magma", vmin=LEFT, vmax=0,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    axes.set(yticks=[0, left.shape[1] - 1], yticklabels=["steepest", "flattest"])
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.invert_yaxis()
    axes.grid(False)
    return image
