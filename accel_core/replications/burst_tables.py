"""Tables and figures of the chapter on the bursts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from .. import figure_data
from ..chapter import Status, status
from ..claims.draws import name, share
from ..claims.levy_wang import BURST
from ..datasets import DataUnavailable
from ..figures import depth_colour
from ..intervals import median_interval
from ..records import RecordError, Row
from . import rows
from .bursts import SETTINGS, Trace, trace_table, traces
from .levy_wang import POINTS
from .store import obtain

__all__ = ["answer", "growth_table", "locations", "picture", "trace_status", "traces_of"]


def traces_of(profile: str) -> Callable[[], list[Row]]:
    """Function that gives the traces; in `smoke` those of seed 0, for 20 steps, from scratch."""

    @cache
    def find() -> list[Row]:
        if profile == "paper":
            return rows("bursts")
        small = [Trace(**vars(t) | {"iterations": 20}) for t in traces(1)]
        return obtain(small, "bursts", look_up=False)

    return find


def locations(draw_rows: Sequence[Row]) -> pd.DataFrame:
    """Where the chosen curves of the report's draws burst: one row per data set, start and network.

    Share of curves that climb by a tenth above their lowest value so far (every step looked at),
    the factor by which those climb, and the recorded step at which they stand highest above it.
    """
    found = []
    for row in draw_rows:
        spec = row.spec
        if (spec["rule"], spec["p"], spec["split"], spec["activation"]) != (
            "SGD",
            2.0,
            0,
            "linear",
        ):
            continue
        curves = {
            n.removeprefix("loss "): v for n, v in row.series.items() if n.startswith("loss ")
        }
        for (network, curve), rise in zip(curves.items(), row.arrays["rise"], strict=True):
            above = curve / np.minimum.accumulate(curve)
            depth, width = (int(part) for part in network.strip("()").split(","))
            found.append(
                {
                    "data": spec["dataset"], "start": spec["start"], "depth": depth, "width": width,
                    "rise": rise, "step": POINTS[int(np.argmax(above))],
                }
            )  # fmt: skip
    table = []
    cells = pd.DataFrame(found).groupby(["data", "start", "depth", "width"], sort=False)
    for (data, start, depth, width), cell in cells:
        burst = cell[cell.rise > BURST]
        table.append(
            {
                "data": data, "start": start, "network": name((depth, width)),
                "bursts in": share(cell.rise > BURST),
                "climbs by": median_interval(burst.rise) if len(burst) else "–",
                "highest at step": median_interval(burst.step) if len(burst) else "–",
            }
        )  # fmt: skip
    frame = pd.DataFrame(table)
    return frame[[s.successes > 0 for s in frame["bursts in"]]]


def growth_table(found: Sequence[Row]) -> pd.DataFrame:
    """Per setting and network, over the seeds: how many traces burst, how many have a sharpness
    above 2/η at some step, how many of those come below it again for good, and the quantities that
    explain it, at the step of the highest loss."""
    table = []
    for dataset, start, rate in SETTINGS:
        for network in sorted({(r.spec["depth"], r.spec["width"]) for r in found}):
            own = [
                trace_table(row)
                for row in found
                if (row.spec["dataset"], row.spec["start"]) == (dataset, start)
                and (row.spec["depth"], row.spec["width"]) == network
            ]
            if own:
                table.append(
                    {"data": dataset, "start": start, "2/η": 2 / rate, "network": name(network)}
                    | _explained(own)
                )
    return pd.DataFrame(table)


def _explained(own: list[pd.DataFrame]) -> dict[str, object]:
    rise = [float(np.max(t.loss / t.loss.cummin())) for t in own]
    unstable = [bool((t.sharpness > t.edge).any()) for t in own]
    back = [bool(t.sharpness.iloc[-1] < t.edge.iloc[-1]) for t in own]
    burst = [t for t, r in zip(own, rise, strict=True) if r > BURST]
    at = [t.iloc[int((t.loss / t.loss.cummin()).argmax())] for t in burst]
    lowest = [t.sharpness.min() / t.sharpness.max() for t in burst]
    return {
        "traces": len(own),
        "burst": len(burst),
        "above 2/η": sum(unstable),
        "below at the end": sum(u and b for u, b in zip(unstable, back, strict=True)),
        "part of the loss along u": _median([s.part / s.loss for s in at]),
        "overlap with u": _median([s.overlap for s in at]),
        "sharpness falls to": _median(lowest),
    }


def _median(values: list[float]) -> object:
    return median_interval(values) if values else "–"


def picture(found: Sequence[Row], settings: Sequence[tuple[str, str, int, int]]) -> plt.Figure:
    """Loss above, sharpness and 2/η below, one column per (data set, start, depth, width); seed 0.

    Beside each network, in grey, the single layer at the same rate.
    """
    fig, axes = plt.subplots(
        2, len(settings), figsize=(3.7 * len(settings), 5.2), sharex="col", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for column, (dataset, start, depth, width) in zip(axes.T, settings, strict=True):
        for network, colour in (((1, 1), "#888888"), ((depth, width), depth_colour(depth))):
            row = _one(found, dataset, start, *network)
            if row is None:
                continue
            figure_data.shows(fig, [row.key])
            trace = trace_table(row)
            column[0].plot(trace.iteration, trace.loss, color=colour, label=name(network))
            column[1].plot(trace.iteration, trace.sharpness, color=colour)
        column[1].axhline(trace.edge.iloc[0], color="#222222", linestyle=":", label="2/η")
        column[0].set(yscale="log", title=f"{dataset}, {start.replace('_', ' ')}")
        # a single layer that diverges would hide the network
        column[0].set_ylim(0.5 * trace.loss.min(), 2 * trace.loss.max())
        column[1].set(yscale="log", xlabel="step")
        column[0].legend(fontsize=8)
        column[1].legend(fontsize=8)
    axes[0, 0].set_ylabel("training loss")
    axes[1, 0].set_ylabel("sharpness")
    plt.close(fig)  # shown once, as the cell's value
    return fig


def _one(found: Sequence[Row], dataset: str, start: str, depth: int, width: int) -> Row | None:
    for row in found:
        spec = row.spec
        if (spec["dataset"], spec["start"], spec["depth"], spec["width"], spec["seed"]) == (
            dataset, start, depth, width, 0
        ):  # fmt: skip
            return row
    return None


def answer(found: Sequence[Row]) -> str:
    """The chapter's answer in Markdown, from the traces."""
    deep = [r for r in found if r.spec["depth"] > 1]
    tables = [trace_table(r) for r in deep]
    burst = [t for t in tables if (t.loss / t.loss.cummin()).max() > BURST]
    above = share([bool((t.sharpness > t.edge).any()) for t in burst])
    calm = [t for t in tables if (t.loss / t.loss.cummin()).max() <= BURST]
    calm_above = share([bool((t.sharpness > t.edge).any()) for t in calm]) if calm else "none"
    back = share([bool(t.sharpness.iloc[-1] < t.edge.iloc[-1]) for t in burst])
    overlap = median_interval([t.overlap.iloc[int(t.loss.argmax())] for t in burst])
    return (
        f"The bursts are the edge of stability. Of {len(tables)} traced networks of two and three "
        f"layers {len(burst)} burst; the sharpness was above 2/η in {above} that did and in "
        f"{calm_above} that did not (a draw is a trace here). What swings is the error along the "
        f"data's first principal direction (overlap at the top: {overlap}). The swing shrinks the "
        "layers along that direction, the sharpness falls, and at the end it is below 2/η in "
        f"{back} that burst: therefore the loss comes back. A single layer's sharpness is "
        "constant: above 2/η it diverges, below it never climbs."
    )


def trace_status(profile: str) -> Status:
    """Follows one trace, drawn by lot, again. Raises `RecordError` where its losses differ."""
    if profile != "paper":
        return status(left_out={"the traces against the record": "they were not looked up"})
    task = traces()[int(np.random.default_rng().integers(len(traces())))]
    small = Trace(**vars(task) | {"iterations": 10})
    try:
        (again,) = obtain([small], "bursts", look_up=False)
    except DataUnavailable as missing:
        return status(left_out={"the traces against the record": str(missing).splitlines()[0]})
    kept = next(row for row in rows("bursts") if row.key == task.key)
    fresh = again.series["loss"]
    worst = float(np.max(np.abs(fresh / kept.series["loss"][: len(fresh)] - 1)))
    if not worst <= 1e-4:  # the record keeps 17 binary digits; an unstable run amplifies round-off
        raise RecordError(f"{task}: its losses differ from the record by {worst:.1e}")
    return status(run=[f"the first ten steps of one trace ({task.start}, {name_of(task)})"])


def name_of(task: Trace) -> str:
    """The network of a trace in words."""
    return f"{name((task.depth, task.width))} on {task.dataset}"
