"""Tables and figures of the chapter on the bursts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from accel_core.datasets import DataUnavailable
from accel_core.intervals import median_interval
from report import figure_data
from report.claims.draws import name, share
from report.claims.levy_wang import BURST
from report.figures import depth_colour, plain_ticks
from report.parameters import Status, status
from report.record import RecordError, Row
from report.replications import rows
from report.replications.bursts import SETTINGS, Trace, trace_table, traces
from report.replications.draw_tables import WRITTEN
from report.replications.levy_wang import POINTS
from report.replications.store import obtain

__all__ = ["answer", "beginnings", "burst_table", "growth_table", "locations", "picture",
           "trace_status", "traces_of"]  # fmt: skip


class Climb(NamedTuple):
    """Where the loss of a trace stands highest above its lowest value so far."""

    factor: float
    low: int  # the step of that lowest value
    top: int


def climb(trace: pd.DataFrame) -> Climb:
    """The largest climb of a trace; a burst where its factor is above `BURST`."""
    factor = trace.loss / trace.loss.cummin()
    top = int(factor.argmax())
    return Climb(float(factor.iloc[top]), int(trace.loss.iloc[: top + 1].argmin()), top)


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
                "data": data, "start": start.replace("_", " "), "network": name((depth, width)),
                "bursts in": share(cell.rise > BURST),
                "climbs by": _median(burst.rise, "draw"),
                "highest at step": _median(burst.step, "draw"),
            }
        )  # fmt: skip
    frame = pd.DataFrame(table)
    return frame[[s.successes > 0 for s in frame["bursts in"]]]


def growth_table(found: Sequence[Row]) -> pd.DataFrame:
    """Per setting and network: how many traces burst, how many have a sharpness above 2/η at some
    step, and how many of those end below it."""
    table = []
    for words, network, own in _cells(found):
        burst = [climb(t).factor > BURST for t in own]
        unstable = [bool((t.sharpness > t.edge).any()) for t in own]
        back = [bool(t.sharpness.iloc[-1] < t.edge.iloc[-1]) for t in own]
        table.append(
            {
                "data, start": words, "2/η": own[0].edge.iloc[0], "network": network,
                "traces": len(own), "burst": sum(burst), "above 2/η": sum(unstable),
                "then below at the end": sum(u and b for u, b in zip(unstable, back, strict=True)),
            }
        )  # fmt: skip
    return pd.DataFrame(table)


def burst_table(found: Sequence[Row]) -> pd.DataFrame:
    """Per setting and deeper network, medians over the traces that burst: the first step at which
    the sharpness is above 2/η, the climb's first and last step, and what explains it."""
    table = []
    for words, network, own in _cells(found):
        burst = [(t, climb(t)) for t in own if climb(t).factor > BURST]
        if network == name((1, 1)) or not burst:
            continue
        peak = [t.sharpness.iloc[int(t.sharpness.argmax()) :] for t, _ in burst]
        values = {
            "first above": [int((t.sharpness > t.edge).argmax()) for t, _ in burst],
            "climbs from": [c.low for _, c in burst],
            "to": [c.top for _, c in burst],
            "along u": [_part(t, c) for t, c in burst],
            "overlap": [t.overlap.iloc[c.top] for t, c in burst],
            "falls to": [later.min() / later.iloc[0] for later in peak],
        }
        table.append(
            {"data, start": words, "network": network, "bursts": len(burst)}
            | {column: _median(each) for column, each in values.items()}
        )
    return pd.DataFrame(table)


def _cells(found: Sequence[Row]) -> Iterator[tuple[str, str, list[pd.DataFrame]]]:
    """Data and start in words, network, traces."""
    for dataset, start, _ in SETTINGS:
        for network in sorted({(r.spec["depth"], r.spec["width"]) for r in found}):
            own = [
                trace_table(row)
                for row in found
                if (row.spec["dataset"], row.spec["start"]) == (dataset, start)
                and (row.spec["depth"], row.spec["width"]) == network
            ]
            if own:
                yield f"{dataset}, {start.replace('_', ' ')}", name(network), own


def _part(trace: pd.DataFrame, at: Climb) -> float:
    """The share of a climb of the loss that lies along u (above 1 where the rest fell)."""
    low, top = trace.iloc[at.low], trace.iloc[at.top]
    return float((top.part - low.part) / (top.loss - low.loss))


def _median(values: Sequence[float], what: str = "trace") -> object:
    if not len(values):
        return "–"
    if len(values) == 1:
        return f"{next(iter(values)):.3g} (one {what})"
    return median_interval(values)


def picture(found: Sequence[Row], settings: Sequence[tuple[str, str, int, int]]) -> plt.Figure:
    """Loss left, sharpness and 2/η right, one row of panels per (data set, start, depth, width):
    the first start that bursts.

    Beside each network, in grey, the single layer from that start at the same rate.
    """
    fig, axes = plt.subplots(
        len(settings), 2, figsize=(7.2, 2.7 * len(settings)), squeeze=False, layout="constrained"
    )
    for panels, (dataset, start, depth, width) in zip(axes, settings, strict=True):
        seed = _first_burst(found, dataset, start, depth, width)
        for network, colour in (((1, 1), "#888888"), ((depth, width), depth_colour(depth))):
            row = _one(found, dataset, start, *network, seed)
            if row is None:
                continue
            figure_data.shows(fig, [row.key])
            trace = trace_table(row)
            panels[0].plot(trace.iteration, trace.loss, color=colour, label=name(network))
            panels[1].plot(trace.iteration, trace.sharpness, color=colour, label=name(network))
        panels[1].axhline(trace.edge.iloc[0], color="#222222", linestyle=":", label="2/η")
        words = f"{WRITTEN[dataset]}, {start.replace('_', ' ')}, start {seed}"
        panels[0].set(yscale="log", title=words, ylabel="training loss")
        # a single layer that diverges would hide the network
        panels[0].set_ylim(0.5 * trace.loss.min(), 2 * trace.loss.max())
        panels[1].set(yscale="log", ylabel="sharpness")
        panels[1].legend(fontsize=9)
        for ax in panels:
            plain_ticks(ax)
    for ax in axes[-1]:
        ax.set_xlabel("step")
    plt.close(fig)  # shown once, as the cell's value
    return fig


def _first_burst(found: Sequence[Row], *network) -> int:
    """The first start from which it bursts; where none does (profile `smoke`) the start 0."""
    seeds = sorted({row.spec["seed"] for row in found})
    rows = {seed: _one(found, *network, seed) for seed in seeds}
    bursting = (s for s, row in rows.items() if row and climb(trace_table(row)).factor > BURST)
    return next(bursting, 0)


def _one(found: Sequence[Row], *wanted) -> Row | None:
    """The row of this data set, start, depth, width and seed."""
    names = ("dataset", "start", "depth", "width", "seed")
    return next((row for row in found if tuple(row.spec[n] for n in names) == wanted), None)


def _deep(found: Sequence[Row]) -> list[tuple[str, pd.DataFrame]]:
    """Data set and trace of every network of two and three layers."""
    return [(r.spec["dataset"], trace_table(r)) for r in found if r.spec["depth"] > 1]


def beginnings(found: Sequence[Row]) -> str:
    """Where bursts begin, and what the loss does at single steps above and below 2/η, in words."""
    traces = [t for _, t in _deep(found)]
    burst = [t for t in traces if climb(t).factor > BURST]
    above = np.concatenate([(t.sharpness > t.edge).to_numpy()[:-1] for t in traces])
    rises = np.concatenate([np.diff(t.loss) > 0 for t in traces])
    return (
        f"Of {len(burst)} bursts {_began_above(burst)} begin, at the lowest loss before the top, "
        "at a sharpness above 2/η. Not every time above it is a burst: of the "
        f"{above.sum():,} steps taken there {np.sum(above & rises):,} raise the loss; of the "
        f"{np.sum(~above):,} taken below it {np.sum(~above & rises):,} do."
    )


def _began_above(burst: Sequence[pd.DataFrame]) -> int:
    at = [t.iloc[climb(t).low] for t in burst]
    return sum(bool(each.sharpness > each.edge) for each in at)


def answer(found: Sequence[Row]) -> str:
    """The chapter's answer in Markdown, from the traces."""
    deep = _deep(found)
    burst = [(data, t) for data, t in deep if climb(t).factor > BURST]
    calm = [t for _, t in deep if climb(t).factor <= BURST]
    above = sum(bool((t.sharpness > t.edge).any()) for t in calm)
    own = [t for _, t in burst]
    lines = [
        f"Of {len(deep)} traces of networks of two and three layers {len(burst)} burst. "
        f"{_began_above(own)} of these began at a sharpness above 2/η; of the {len(calm)} without "
        f"a burst {above} were above it at some step. In {sum(map(_swings, own))} of {len(burst)} "
        "climbs the error along the data's first principal direction u changed its sign at every "
        "step. The part of the climb that lies along u (median; above 1: the rest fell) is "
    ]
    by_data = {data: [t for d, t in burst if d == data] for data in WRITTEN}
    lines[0] += " and ".join(_along(WRITTEN[d], own) for d, own in by_data.items()) + "."
    lines += [_ends(WRITTEN[d], own) for d, own in by_data.items() if own]
    lines.append(
        "A single layer's sharpness is constant: above 2/η it diverges, below it never climbs."
    )
    return " ".join(lines)


def _swings(trace: pd.DataFrame) -> bool:
    at = climb(trace)
    error = trace.error.to_numpy()[at.low : at.top + 1]
    return bool((error[1:] * error[:-1] < 0).all())


def _along(where: str, burst: Sequence[pd.DataFrame]) -> str:
    return f"{_median([_part(t, climb(t)) for t in burst])} on {where} ({len(burst)} bursts)"


def _ends(where: str, burst: Sequence[pd.DataFrame]) -> str:
    below = sum(bool(t.sharpness.iloc[-1] < t.edge.iloc[-1]) for t in burst)
    back = sum(bool(t.loss.iloc[-1] <= BURST * t.loss.iloc[climb(t).low]) for t in burst)
    return (
        f"After {len(burst[0]) - 1} steps the sharpness of those on {where} is below 2/η in "
        f"{below} of {len(burst)}, the loss no more than a tenth above its value before the climb "
        f"in {back}."
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
