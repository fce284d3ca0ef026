"""The bursts in the loss: one run of the report followed step by step, with its curvature.

A step of gradient descent multiplies the loss's slope along an eigenvector of the Hessian by
1 − ησ. Where the largest eigenvalue σ (the sharpness) is above 2/η the slope grows and changes its
sign every step. For one layer σ is constant; for more it depends on the layers, which the swing
itself changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from accel_core import sharpness as curvature
from accel_core.initializers import TorchDefault
from accel_core.models import Architecture, end_to_end
from accel_core.problem import Problem
from accel_core.training import Run, train
from report.experiments.tasks import Outcome, Task
from report.record import Row
from report.replications.levy_wang import ARCHITECTURES, REPORT_SPLIT, parts
from report.replications.levy_wang import STARTS as REPORT_STARTS

__all__ = ["LEVELS", "TRACE", "Landscape", "Trace", "climbs", "landscape_table", "landscapes",
           "trace_table", "traces"]  # fmt: skip

LEVELS = (0.8, 0.5)  #: of the loss of the map x ↦ 0
TRACE = ("dataset", "start", "depth", "width", "seed", "rate")  #: what tells traces apart


@dataclass(frozen=True)
class Trace(Task):
    """One network of the report (its split, biases), followed for `iterations` steps in float64."""

    task, names = "Trace", ("dataset", "start", "depth", "width", "seed", "rate", "iterations")

    dataset: str = "ethanol"
    start: str = "near_identity"
    depth: int = 3
    width: int = 64
    seed: int = 0
    rate: float = 1e-2
    iterations: int = 100

    def run(self) -> Outcome:
        """Per iteration, with u the data's first principal direction and m its variance: loss,
        sharpness, `error` (W_e − W*)u, and `part` m·error² of the loss. (The record also holds
        slope, overlap and kernel, of the sharpness's eigenvector, which no page reads.)
        """
        problem = parts(self.dataset, REPORT_SPLIT)[0]
        shape = Architecture(self.depth, self.width, bias=True)
        run = Run(
            self.depth, self.width, True, REPORT_STARTS[self.start], self.seed, rate=self.rate
        )
        times = range(self.iterations + 1)
        (result,) = train(problem, [run], self.iterations, record_at=times, states_at=times)
        spread = np.linalg.eigh(problem.moments.xx)
        first, variance = spread.eigenvectors[:, -1], spread.eigenvalues[-1]
        optimum = problem.optimum(bias=True)
        error = (result.end_to_end - optimum.end_to_end)[:, 0, :-1] @ first
        sharpness, vector = [], None
        for t in result.iteration:
            value, vector = curvature.sharpness(problem, shape, result.states[int(t)], vector)
            sharpness.append(value)
        series = {
            "iteration": result.iteration, "loss": result.loss, "sharpness": np.array(sharpness),
            "error": error, "part": variance * error**2,
        }  # fmt: skip
        return Outcome({"optimum": optimum.loss, "variance": float(variance)}, series, {})


# (data set, start, rate): what the report's tuning chooses for wide networks from these starts
SETTINGS = (
    ("ethanol", "near_identity", 1e-2),
    ("ethanol", "near_zero", 5e-2),
    ("abalone", "near_identity", 5e-2),
)


def traces(seeds: int = 10, iterations: int = 100) -> list[Trace]:
    """Networks of two and three layers, and a single layer, at the rates that wide ones get."""
    networks = ((1, 1), (2, 1), (2, 64), (3, 10), (3, 64))
    grid = product(SETTINGS, networks, range(seeds))
    return [
        Trace(dataset, start, depth, width, seed, rate, iterations)
        for (dataset, start, rate), (depth, width), seed in grid
    ]


def trace_table(rows: Sequence[Row]) -> pd.DataFrame:
    """All traces as one table: what `TRACE` names, then `iteration`, the series of `Trace.run`, and
    `edge` = 2/η."""
    return pd.concat(
        [
            pd.DataFrame(row.series).assign(
                key=row.key, edge=2 / row.spec["rate"], **{n: row.spec[n] for n in TRACE}
            )
            for row in rows
        ],
        ignore_index=True,
    ).astype({"iteration": int})


def climbs(table: pd.DataFrame) -> pd.DataFrame:
    """One row per trace of `trace_table`, at the step `top` where its loss stands highest above its
    lowest value so far, which was at the step `low`.

    Columns beside `TRACE`: factor, low, top; above (the sharpness is above 2/η at some step),
    began_above (at `low`), ended_below (at the last step); along (the part of the climb that lies
    along u), swings (the error along u changes its sign at every step of it), falls (the sharpness
    after its highest value at its lowest, over that value).
    """
    found = []
    for names, trace in table.groupby(list(TRACE), sort=False):
        t = trace.set_index("iteration")
        factor = t.loss / t.loss.cummin()
        top = factor.idxmax()
        low = t.loss.loc[:top].idxmin()
        error, later = t.error.loc[low:top].to_numpy(), t.sharpness.loc[t.sharpness.idxmax() :]
        rise = t.loss[top] - t.loss[low]
        found.append(
            dict(zip(TRACE, names, strict=True))
            | {
                "factor": factor[top], "low": low, "top": top,
                "above": bool((t.sharpness > t.edge).any()),
                "began_above": bool(t.sharpness[low] > t.edge[low]),
                "ended_below": bool(t.sharpness.iloc[-1] < t.edge.iloc[-1]),
                "along": (t.part[top] - t.part[low]) / rise if rise > 0 else np.nan,
                "swings": bool((error[1:] * error[:-1] < 0).all()),
                "falls": later.min() / later.iloc[0],
            }
        )  # fmt: skip
    return pd.DataFrame(found)


@dataclass(frozen=True)
class Landscape(Task):
    """Sharpness and the direction of the step where each network first reaches a loss.

    Default start, the report's split, a rate so small that the path is nearly the gradient flow's.
    """

    task, names = "Landscape", ("dataset", "p", "seed", "rate", "iterations")

    dataset: str
    p: float
    seed: int
    rate: float
    iterations: int = 20_000

    def run(self) -> Outcome:
        """Sharpness and cosine (architectures, levels); NaN where the level is not reached."""
        problem = parts(self.dataset, REPORT_SPLIT, self.p)[0]
        zero = problem.loss(np.zeros((1, problem.d)))
        runs = [
            Run(n, m, True, TorchDefault(), self.seed, rate=self.rate) for n, m in ARCHITECTURES
        ]
        coarse = train(problem, runs, self.iterations)
        sharpness, cosine = np.full((2, len(runs), len(LEVELS)), np.nan)
        for i, (run, result) in enumerate(zip(runs, coarse, strict=True)):
            for j, level in enumerate(LEVELS):
                reached = np.flatnonzero(result.loss <= level * zero)
                if not reached.size or reached[0] == 0:
                    continue
                stop = int(result.iteration[reached[0]])
                (there,) = train(problem, [run], stop, record_at=[stop], states_at=[stop])
                flat = there.states[stop]
                sharpness[i, j] = curvature.sharpness(problem, run.architecture, flat)[0]
                cosine[i, j] = _cosine(problem, run.architecture, flat)
        return Outcome({"zero": zero}, {}, {"sharpness": sharpness, "cosine": cosine})


def _cosine(problem: Problem, shape: Architecture, flat) -> float:
    """Cosine between the first-order end-to-end step of gradient descent and minus the gradient."""
    d, slope = problem.d, curvature.gradient(problem, shape, flat)
    weights, biases = shape.unpack(flat, d)
    end = end_to_end(weights, biases)
    h = 1e-7 / np.linalg.norm(slope)
    ends = [end_to_end(*shape.unpack(flat - s * h * slope, d)) for s in (1, -1)]
    step = (ends[0] - ends[1]).ravel()
    downhill = -problem.gradient(end[:, :-1], end[:, -1]).ravel()
    return float(step @ downhill / np.linalg.norm(step) / np.linalg.norm(downhill))


def landscapes(seeds: int = 10) -> list[Landscape]:
    """Both data sets and losses."""
    grid = product(("ethanol", "abalone"), ((2.0, 1e-3), (4.0, 1e-4)), range(seeds))
    return [Landscape(dataset, p, seed, rate) for dataset, (p, rate), seed in grid]


def landscape_table(rows: Sequence[Row]) -> pd.DataFrame:
    """One row per network, seed and level that was reached: dataset, p, depth, width, seed, loss
    (the level, as a share of the loss of x ↦ 0), sharpness, cosine."""
    levels = [(*architecture, level) for architecture in ARCHITECTURES for level in LEVELS]
    grid = pd.DataFrame(levels, columns=["depth", "width", "loss"])
    names = ["dataset", "p", "seed"]
    found = [grid.assign(**{n: row.spec[n] for n in names}, **row.arrays) for row in rows]
    return pd.concat(found, ignore_index=True)[[*names, *grid, "sharpness", "cosine"]].dropna()
