"""Levy and Wang's replication and what leads from its outcome to the paper's, as experiments.

What is trained stands in `report.replications`; here stand their names, their tables, and which
part of a recorded task is computed again: single precision at the edge of stability amplifies
round-off beyond recognition, so that only the stable part can be the same on every processor.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from report.experiments.tasks import Tasks, numbers
from report.replications import bursts, depth_map, levy_wang, starts, walk

__all__ = ["EXPERIMENTS"]


def _computed(task) -> dict[str, np.ndarray]:
    (row,) = type(task).session([task]).run(lambda: None)
    return numbers(row)


def _trace(task, row) -> list:
    """Its first ten steps."""
    now, kept = _computed(replace(task, iterations=10)), row.series["loss"]
    return [("loss", kept[: len(now["loss"])], now["loss"])]


def _cell(task, row, iterations=100) -> list:
    """The run at the lowest rate, which is stable, for its first iterations."""
    now = _computed(replace(task, iterations=iterations))
    kept = numbers(row)
    _, ours, theirs = np.intersect1d(now["iteration"], kept["iteration"], return_indices=True)
    return [("distance", kept["distance"][theirs], now["distance"][ours])]


def _map_cell(task, row) -> list:
    """The lowest rate of each depth, for a thousand iterations; and the prediction."""
    now, kept, points, depths = _computed(task), numbers(row), depth_map.POINTS, depth_map.DEPTHS
    lowest = np.arange(len(depths)) * len(depth_map.RATES), slice(np.sum(points <= 1_000))
    a, b = (each["distance"].reshape(-1, len(points))[lowest] for each in (kept, now))
    curves = [(f"distance, depth {n}", *pair) for n, *pair in zip(depths, a, b, strict=True)]
    if task.dataset == "synthetic" and (task.p, task.condition) == (2.0, 1.0):
        return curves  # at the optimum after some steps: what is predicted from there is round-off
    return [*curves, ("predicted", kept["predicted"], now["predicted"])]


def _draw(task, row) -> list:
    """Last losses at the lowest rate of the grid, where single precision is not amplified."""
    now, kept = _computed(task), numbers(row)
    step = len(task.rates)
    return [(name, kept[name][::step], now[name][::step]) for name in ("final", "held_out")]


EXPERIMENTS = (
    Tasks("levy_wang", levy_wang.draws, (("levy_wang", levy_wang.table),), _draw),
    Tasks("levy_wang_raised", levy_wang.raised, (("levy_wang_raised", levy_wang.table),), _draw),
    Tasks("levy_wang_starts", starts.checks, (("levy_wang_starts", starts.table),)),
    Tasks("bursts", bursts.traces, (("bursts", bursts.trace_table),), _trace),
    Tasks("landscape", bursts.landscapes, (("landscape", bursts.landscape_table),)),
    Tasks("walk", walk.cells, (("walk", walk.run_tables),
                               ("walk_factorial", walk.factorial_table)), _cell),
    Tasks("depth_map", depth_map.cells, (("depth_map", depth_map.map_table),), _map_cell),
)  # fmt: skip
