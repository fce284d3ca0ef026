"""Tables and figures of the chapter with the map of when depth accelerates."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patheffects import withStroke

from accel_core.intervals import share_interval
from report import figure_data
from report.figures import INK
from report.parameters import Status, status
from report.record import RecordError
from report.replications import depth_map, table
from report.replications.depth_map import BUDGETS, MapCell, map_table
from report.replications.store import obtain, recorded

__all__ = ["answer", "confusion", "figure", "map_of", "map_status", "misclassified"]


HALO = [withStroke(linewidth=3, foreground="white")]  # marks are seen on dark cells, too
SHOWN = 8  # speed-ups beyond it, or below its inverse, have the colour of the scale's end


def map_of(profile: str) -> pd.DataFrame:
    """The map; in `smoke` two synthetic cells from one start, from scratch."""
    if profile == "paper":
        return table("depth_map")
    cells = [MapCell("synthetic", p, "near_zero", "GD", 10.0, 0) for p in (2.0, 4.0)]
    return map_table(obtain(cells, "depth_map", look_up=False))


def confusion(found: pd.DataFrame) -> pd.DataFrame:
    """Cells by kind: how many, how many decided (the interval over the starts excludes 1), how
    many of these the formula puts on the wrong side, with Wilson's interval of the share, and how
    many one would who calls all of them what most of them are."""
    kinds = [
        ("gradient descent, synthetic", found.rule.eq("GD") & found.dataset.eq("synthetic")),
        ("gradient descent, real tables", found.rule.eq("GD") & found.dataset.ne("synthetic")),
        ("Adam, synthetic", found.rule.eq("Adam")),
    ]
    lines = []
    for words, chosen in kinds:
        cells = found[chosen]
        decided = cells[cells.decided]
        lines.append(
            {
                "cells": words, "all": len(cells), "decided": len(decided),
                "depth faster": int(decided.fast.sum()),
                "predicted faster": int(decided.predicted_fast.sum()),
                "misclassified": _share(decided), "by the majority": _majority(decided),
                "of all cells": _share(cells),
            }
        )  # fmt: skip
    return pd.DataFrame(lines)


def _share(cells: pd.DataFrame) -> str:
    if not len(cells):
        return "–"
    wrong = int((cells.fast != cells.predicted_fast).sum())
    share, low, high = share_interval(wrong, len(cells))
    return f"{wrong} of {len(cells)}: {share:.0%} [{low:.0%}, {high:.0%}]"


def _majority(cells: pd.DataFrame) -> str:
    """What always saying the commoner of the two outcomes gets wrong."""
    fast = int(cells.fast.sum())
    return f"{min(fast, len(cells) - fast)} of {len(cells)}"


def misclassified(found: pd.DataFrame) -> pd.DataFrame:
    """Decided cells of gradient descent on the wrong side, synthetic and real, counted by start,
    loss and depth."""
    cells = found[found.rule.eq("GD") & found.decided]
    wrong = cells.assign(wrong=cells.fast != cells.predicted_fast)
    counted = wrong.groupby(["start", "p", "depth"]).agg(
        decided=("wrong", "size"), misclassified=("wrong", "sum")
    )
    counted = counted[counted.misclassified > 0].reset_index()
    return counted.assign(
        start=counted.start.str.replace("_", " "), p=counted.p.map("ℓ{:g}".format)
    ).rename(columns={"p": "loss"})


def figure(found: pd.DataFrame, rule: str = "GD") -> plt.Figure:
    """The synthetic cells: condition number against loss, a panel per start (down) and depth
    (across), longest budget.

    Colour: log2 of the median speed-up; a cross: the formula is wrong; a circle: undecided.
    """
    cells = found[
        found.rule.eq(rule) & found.dataset.eq("synthetic") & found.budget.eq(BUDGETS[-1])
    ]
    starts, depths = list(dict.fromkeys(cells.start)), sorted(cells.depth.unique())
    ps, conditions = sorted(cells.p.unique()), sorted(cells.condition.unique())
    fig, axes = plt.subplots(
        len(starts), len(depths), figsize=(7.2, 2.6 * len(starts)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for (i, start), (j, depth) in itertools.product(enumerate(starts), enumerate(depths)):
        ax, values = axes[i, j], np.full((len(ps), len(conditions)), np.nan)
        own = cells[(cells.depth == depth) & (cells.start == start)]
        for cell in own.itertuples():
            y, x = ps.index(cell.p), conditions.index(cell.condition)
            middle = np.clip(cell.speedup.median_high if cell.speedup.median_low == 0
                             else cell.speedup.median_low, 1 / SHOWN, SHOWN)  # fmt: skip
            values[y, x] = np.log2(middle)
            if cell.decided and cell.fast != cell.predicted_fast:
                ax.plot(x, y, "x", color=INK, markersize=11, path_effects=HALO)
            if not cell.decided:
                ax.plot(x, y, "o", mfc="none", mec=INK, markersize=8, path_effects=HALO)
        ends = np.log2(SHOWN)
        image = ax.imshow(values, cmap="PuOr", vmin=-ends, vmax=ends, origin="lower", aspect="auto")
        ax.set_xticks(range(len(conditions)), [f"{c:g}" for c in conditions])
        ax.set_yticks(range(len(ps)), [f"ℓ{p:g}" for p in ps])
        ax.set_title(f"{start.replace('_', ' ')}, depth {depth}", fontsize=11)
        ax.grid(False)
    figure_data.shows(fig, itertools.chain.from_iterable(cells["keys"]))
    fig.supxlabel("condition number", fontsize=11)
    fig.supylabel("loss", fontsize=11)
    bar = fig.colorbar(image, ax=axes, label="speed-up over one layer", extend="both")
    bar.set_ticks(range(-3, 4), labels=["⅛", "¼", "½", "1", "2", "4", "8"])
    plt.close(fig)  # shown once, as the cell's value
    return fig


def answer(found: pd.DataFrame) -> str:
    """The chapter's answer in Markdown."""
    own = found[found.rule.eq("GD") & found.dataset.eq("synthetic") & found.decided]
    shares = {p: _faster(own[own.p.eq(p)]) for p in sorted(own.p.unique())}
    words = "; ".join(f"ℓ{p:g} {text}" for p, text in shares.items())
    wrong = "; ".join(
        f"{row.misclassified} ({row.cells}; always saying what most are would be wrong in "
        f"{row.majority})"
        for row in confusion(found).rename(columns={"by the majority": "majority"}).itertuples()
    )
    return (
        "A cell is a problem, kind of start, update rule, depth and budget, drawn five times; it "
        "is decided where all five speed-ups lie on one side of 1. Of the decided synthetic cells "
        f"with gradient descent depth is faster in these shares: {words}. Of the decided cells the "
        f"formula, committed before the map, misclassifies {wrong}."
    )


def _faster(cells: pd.DataFrame) -> str:
    share, low, high = share_interval(int(cells.fast.sum()), len(cells))
    return f"{share:.0%} [{low:.0%}, {high:.0%}] of {len(cells)}"


def map_status(profile: str) -> Status:
    """Computes one synthetic cell, drawn by lot, again in full. Raises `RecordError`."""
    if profile != "paper":
        return status(left_out={"the map against the record": "it was not looked up"})
    cells = [c for c in depth_map.cells() if c.dataset == "synthetic" and c.rule == "GD"]
    task = cells[int(np.random.default_rng().integers(len(cells)))]
    (again,) = obtain([task], "depth_map", look_up=False)
    kept = recorded([task], "depth_map")[task.key]
    new, old = (row.arrays["distance"].reshape(-1, len(depth_map.POINTS)) for row in (again, kept))
    # the lowest rate of each depth is stable; its first thousand iterations hold round-off down
    some = BUDGETS[1] >= depth_map.POINTS
    stable = np.arange(len(depth_map.DEPTHS)) * len(depth_map.RATES)
    a, b = new[stable][:, some], old[stable][:, some]
    worst = float(np.max(np.abs(a / b - 1)))
    if not worst <= 1e-4:
        raise RecordError(f"{task}: its curves differ from the record by {worst:.1e}")
    return status(run=["one cell of the map, computed again"])
