"""Formatted tables and a figure of tuned rates, until the chapter on own data has its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from accel_core.statistics import speedups, tune
from report import figure_data, figures
from report.claims.comparisons import single_layer_target
from report.claims.tuned_rates import EARLY, LATE
from report.tables import sci


def _models(frame: pd.DataFrame):
    for (p, depth), group in frame.groupby(["p", "depth"]):
        yield f"ℓ{p:g}, depth {depth}", p, int(depth), group


def tuned_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The chosen rate of every model, with what stands next to it in the grid."""
    rows = []
    for name, _, _, group in _models(frame):
        best = tune(group).iloc[0]
        each = [f"{rate:g}" for rate in sorted(set(best.start_rate.values()))]
        rows.append(
            {
                "model": name,
                "best rate": f"{best.rate:g}" + (" (edge of the grid)" if best.edge else ""),
                "distance at the end": _spread(best.by_start.values()),
                "diverged there": f"{best.diverged} of {len(best.by_start)}",
                "diverged at the next rate": f"{best.diverged_next_up} of {len(best.by_start)}",
                "best rate, start by start": ", ".join(each),
            }
        )
    return pd.DataFrame(rows)


def _spread(values) -> str:
    values = sorted(values)
    return f"{sci(float(np.median(values)))} [{sci(values[0])}, {sci(values[-1])}]"


def draw_rates(frame: pd.DataFrame) -> None:
    """Distance at the end against the rate, a dot per start, a cross where it diverged."""
    figure, axes = figures.panels(frame.p.nunique(), figsize=(7.8, 4.2))
    figure_data.shows(figure, frame.key)
    for panel, (p, of_loss) in zip(axes, frame.groupby("p"), strict=True):
        for depth, group in of_loss.groupby("depth"):
            colour = figures.depth_colour(depth)
            alive = group[group.status.eq("completed")]
            label = f"depth {depth}"
            panel.plot(alive.rate, alive.final, "o", ms=4, alpha=0.6, color=colour, label=label)
            dead = group[group.status.eq("diverged")]
            if len(dead):  # crosses outside of the panel, even none, take part in the layout
                figures.diverged(panel, dead.rate, colour, height=1.0 + 0.035 * depth)
        panel.set(xscale="log", yscale="log", xlabel="learning rate")
        panel.set_title(f"ℓ{p:g}", pad=32)  # above the crosses
    axes[0].set_ylabel("distance at the end")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def speedup_table(frame: pd.DataFrame, shares: Sequence[float] = EARLY + LATE) -> pd.DataFrame:
    """Speed-up of depth 2 and 3 over depth 1, each tuned for the target: where the tuned single
    layer is after these shares of the budget."""
    rows = []
    for p, runs in frame.groupby("p"):
        for share in shares:
            target = single_layer_target(runs, share)
            for row in speedups(runs, baseline={"depth": 1}, targets=[target]).itertuples():
                rows.append(
                    {
                        "loss": f"ℓ{p:g}",
                        "target (share)": f"{sci(target)} ({share:.0%})",
                        "depth": str(row.depth),
                        "speed-up": str(row.speedup),
                        "rates, deep / single": f"{row.rate:g} / {row.baseline_rate:g}",
                        "iterations": f"{sci(row.value)} / {sci(row.baseline_value)}",
                        "never there": f"{row.censored} / {row.baseline_censored} of "
                        f"{row.speedup.n}",
                    }
                )
    return pd.DataFrame(rows)
