"""A survey of real tables: at its best rate, is a deeper network faster than one layer?

A `Survey` is one problem, a table with an ℓp loss: depths 1, 2, 3 from the same near-zero starts,
each at rates that are searched until the best is inside the grid. Two formulas predict its speed-up
and were written down before any of it was computed: that of the map (`depth_map.predict`), and the
layers' flow (`flow.flow`). Nothing in them is fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accel_core import datasets
from accel_core.intervals import median_interval
from accel_core.optimum import NearlyCollinear
from accel_core.problem import Problem
from accel_core.statistics import ratio
from accel_core.training import Run, train
from report.experiments.search import DEPTHS, LEAST, SHARES, START, Search, rate_of
from report.experiments.tasks import Outcome, Task, Tasks
from report.record import Row

__all__ = ["EXPERIMENTS", "HALF_A", "LEAST", "SHARES", "SIX", "TABLES", "TRIMMED", "Survey",
           "runs_of", "small", "survey_table"]  # fmt: skip

Array = NDArray[np.float64]

TABLES = tuple(n for n in datasets.NAMES if n not in ("mnist", "abalone-without-sex"))
#: Tables with a feature or label more than `FAR` standard deviations out.
TRIMMED = ("ethanol", "abalone", "elevators", "machine", "parkinsons", "pol", "protein",
           "skillcraft", "sml", "wine")  # fmt: skip
FAR, ROWS, HELD_OUT = 10.0, 5_000, 0.2
#: Drawn before the runs: what is fitted is fitted on these, and judged on the others. With one
#: more: at `airfoil` (and at `yacht`) the search was tried out before the criteria were written.
HALF_A = ("airfoil", *np.random.default_rng(15).permutation(sorted(TABLES))[:10].tolist())
STARTS = 5
#: Tables of at most 11,000 numbers: cheap enough at ℓ4 for ten times the budget.
QUICK = ("airfoil", "autompg", "concrete", "energy", "machine", "solar", "stock", "yacht")
#: Ethanol's six outlying rows, the one with most leverage first.
SIX = (2564, 2563, 2555, 2553, 2554, 2556)


@dataclass(frozen=True)
class Survey(Task):
    """All depths and rates on one table; `trimmed`: without its rows beyond `FAR`; `left_out`:
    without these of `SIX`, and the others of them trained on, not held out."""

    task, names = "Survey", ("dataset", "p", "trimmed", "iterations", "starts")
    together: ClassVar[int] = 1  # a problem takes seconds to minutes: each is kept when done

    dataset: str
    p: float
    trimmed: bool = False
    iterations: int = 10_000
    starts: int = STARTS
    left_out: tuple[int, ...] | None = None

    def rows(self) -> tuple[Array, Array, Array, Array]:
        """X, y to train on and X, y held out: a fixed random fifth, standardised as the others."""
        data = datasets.load(self.dataset)
        table = np.column_stack([data.X, data.y])
        order = np.random.default_rng(0).permutation(len(table))
        if self.trimmed:
            moving = np.ptp(table, axis=0) > 0
            far = (np.abs(datasets.standardize(table[:, moving])) > FAR).any(axis=1)
            order = order[~far[order]]
        if self.left_out is not None:
            stay = [row for row in SIX if row not in self.left_out]
            order = np.r_[np.array(stay, int), order[~np.isin(order, SIX)]]
        table = table[order[:ROWS]]
        own, other = np.split(table, [round((1 - HELD_OUT) * len(table))])
        moving = np.ptp(own, axis=0) > 0
        own, other = ((part[:, moving] - own[:, moving].mean(0)) / own[:, moving].std(0)
                      for part in (own, other))  # fmt: skip
        return own[:, :-1], own[:, -1], other[:, :-1], other[:, -1]

    def run(self) -> Outcome:
        """The curves of all runs, the targets, both predictions, and the held-out losses."""
        with warnings.catch_warnings(action="ignore", category=NearlyCollinear):
            return Search(self).outcome()


def surveys() -> list[Survey]:
    """Every table at ℓ2 and ℓ4, with and without its outlying rows; a hundred iterations; then ten
    times the budget, at ℓ2 for all and at ℓ4 for the small ones."""
    variants = [(t, trimmed) for t in TABLES for trimmed in (False, True)[: 1 + (t in TRIMMED)]]
    usual = [Survey(t, p, trimmed) for t, trimmed in variants for p in (2.0, 4.0)]
    long = [Survey(t, 2.0, trimmed, 100_000) for t, trimmed in variants]
    short = [replace(each, iterations=100) for each in usual]
    return usual + short + long + [Survey(t, 4.0, False, 100_000) for t in QUICK]


def exponents() -> list[Survey]:
    """Every table, with and without its outlying rows, at ℓ3 and ℓ6."""
    usual = [each for each in surveys() if (each.p, each.iterations) == (4.0, Survey.iterations)]
    return [replace(each, p=p) for each in usual for p in (3.0, 6.0)]


def left_out() -> list[Survey]:
    """Ethanol at ℓ4 without the first 0 … 6 of its outlying rows, and without each alone."""
    chosen = [*(SIX[:n] for n in range(7)), *((row,) for row in SIX[1:])]
    return [Survey("ethanol", 4.0, left_out=rows) for rows in chosen]


def small() -> list[Survey]:
    """One small table, a few hundred iterations, two starts (profile `smoke`)."""
    return [Survey("yacht", p, False, 200, 2) for p in (2.0, 4.0)]


def runs_of(row: Row) -> pd.DataFrame:
    """The run table of one recorded problem."""
    points = row.series["iteration"].astype(int)
    depth, k = row.arrays["depth"].astype(int), row.arrays["k"]
    curves = row.arrays["distance"].reshape(len(depth), -1)
    found = []
    for i, (curve, left) in enumerate(zip(curves, row.summary["diverged_at"], strict=True)):
        lived = np.isfinite(curve)
        same = {
            "problem": row.spec["dataset"],
            "p": row.spec["p"],
            "width": 1,
            "bias": False,
            "start": "near zero",
            "rule": "GD",
            "weight_decay": 0.0,
            "budget": points[-1],
        }
        found.append(same | {
            "key": row.key, "depth": depth[i], "rate": rate_of(k[i]),
            "seed": i % row.spec["starts"],
            "status": "diverged" if left else "completed", "diverged_at": left,
            "iteration": points[lived], "distance": curve[lived],
            "floor": row.summary["floor"], "final": np.inf if left else curve[-1],
        })  # fmt: skip
    return pd.DataFrame(found).astype({"diverged_at": "Int64"})


def survey_table(rows: Sequence[Row]) -> pd.DataFrame:
    """A row a problem, share of the budget and depth 2 or 3: `speedup` over one layer (`Estimate`
    over the starts), `value` and `baseline_value` (iterations, median), `censored` starts, `edge`,
    the predictions `map` and `flow`, `held_out`, the held-out loss over one layer's (by start, NaN
    where it did not arrive), and what kind of table it is."""
    found, kind = [], ("rows", "features", "kurtosis", "condition", "leverage")
    for row in rows:
        same = {n: row.spec[n] for n in ("dataset", "p", "trimmed", "iterations")}
        same |= {n: row.summary[n] for n in kind} | {"key": row.key}
        get, shape, budget = row.arrays.__getitem__, (3, len(SHARES)), row.spec["iterations"]
        times, tests = (get(n).reshape(*shape, -1) for n in ("times", "held_out"))
        expected = {n: get(n).reshape(2, len(SHARES)) for n in ("map", "flow")}
        grids, tuned = [get("k")[get("depth") == n] for n in DEPTHS], get("tuned").reshape(shape)
        for i, j in np.ndindex(2, len(SHARES)):
            pairs = zip(times[0, j], times[i + 1, j], strict=True)
            bounds = [ratio(of, to, budget) for of, to in pairs]
            best = [(tuned[n, j], grids[n]) for n in (0, i + 1)]
            found.append(same | {
                "share": SHARES[j], "depth": DEPTHS[i + 1],
                "speedup": median_interval(*zip(*bounds, strict=True)),
                "value": np.median(times[i + 1, j]), "baseline_value": np.median(times[0, j]),
                "censored": int(np.isinf(times[i + 1, j]).sum()),
                "edge": any(k in (ks.min(), ks.max()) for k, ks in best),
                "relative": get("targets")[j] / row.summary["first"],
                "held_out": tests[i + 1, j] / tests[0, j],
            } | {name: values[i, j] for name, values in expected.items()})  # fmt: skip
    return pd.DataFrame(found)


def left_out_table(rows: Sequence[Row]) -> pd.DataFrame:
    """`survey_table`, and which rows were left out (`left_out`: their numbers in the table)."""
    which = {row.key: tuple(row.spec["left_out"]) for row in rows}
    return survey_table(rows).assign(left_out=lambda table: table.key.map(which))


def _early(task: Survey, row: Row) -> list:
    """One layer's first hundred iterations at its lowest rate."""
    X, y, *_ = task.rows()
    problem, at = Problem(X, y, task.p), row.series["iteration"].astype(int)
    at = at[at <= 100]
    with warnings.catch_warnings(action="ignore", category=NearlyCollinear):
        (done,) = train(problem, [Run(1, start=START, rate=rate_of(row.arrays["k"][0]))], 100,
                        record_at=at)  # fmt: skip
        distance = done.loss - problem.optimum().loss
    return [("distance", np.ravel(row.arrays["distance"])[: len(at)], distance)]


EXPERIMENTS = (
    Tasks("survey", surveys, (("survey", survey_table),), _early),
    Tasks("exponents", exponents, (("exponents", survey_table),), _early),
    Tasks("left_out", left_out, (("left_out", left_out_table),), _early),
)
