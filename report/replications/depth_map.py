"""When does depth accelerate? A prediction from the data alone, and a map to hold it against.

The prediction (`predict`) was written down before any cell of the map was computed. Let w* be the
optimum, M = ‖w*‖, H(w) the Hessian of the loss in w, λ(s) the largest eigenvalue of H(s·w*) and
c(s) the cosine between its eigenvector and w*. On the ray from 0 to w* a balanced network of depth
N has a sharpness of about λ(s) (sM)^{2−2/N} (1 + (N−1) c(s)²) (Claim 2); its largest value S_N
bounds the rate, η_N = 2/S_N. Directions across w* then move, at the end, with the effective rate
e_N = M^{2−2/N} η_N. A single layer has e_1 = 2/max λ(s). Before that the network has to leave its
start: with m₀ = ‖W_e‖ there and g the size of the gradient at 0 this takes (`theory.escape_time`)

    T₀ = (1/η_N) ∫ dm / (N m^{2−2/N} g)   from m₀ to M, 0 if m₀ ≥ M.

A single layer that has run T₁ iterations is met by depth N after T₀ + T₁ e_1/e_N, so

    predicted speed-up = T₁ / (T₀ + T₁ e_1/e_N),   T₁ = 0.4 of the budget.

Depth accelerates where that is above 1. An Adam step does not know the gradient's size: there the
predicted speed-up is 1, no acceleration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accel_core import datasets
from accel_core.intervals import median_interval
from accel_core.models import Architecture, end_to_end
from accel_core.problem import Problem
from accel_core.rules import Adam, GradientDescent
from accel_core.sharpness import single_layer_hessian
from accel_core.statistics import speedup
from accel_core.theory import escape_time
from accel_core.training import Run, record_points
from report.experiments.tasks import Outcome, Task
from report.record import Row
from report.replications.walk import (
    DEPTHS,
    FRACTION,
    PER_DECADE,
    SEEDS,
    STARTS,
    curves,
    run_tables,
)

__all__ = ["BUDGETS", "MapCell", "cells", "map_table", "predict", "small",
           "synthetic"]  # fmt: skip

Array = NDArray[np.float64]

#: Iterations at which the map is drawn.
BUDGETS = (100, 1_000, 10_000)
# every other of the usual record points: the map has thousands of curves
POINTS = np.union1d(record_points(BUDGETS[-1], PER_DECADE)[::2], BUDGETS)
RATES = tuple(float(f"{m}e{e}") for e in range(-4, 1) for m in (1, 2, 5))
RULES = {"GD": GradientDescent(), "Adam": Adam()}
ROWS, FEATURES, NOISE = 128, 8, 0.3
REAL = ("autompg", "energy", "yacht")  # small tables: thousands of runs in minutes


def synthetic(condition: float, p: float, seed: int = 0) -> Problem:
    """128 rows, 8 features; the eigenvalues of XᵀX/n fall from 1 to 1/`condition` in equal ratios.

    y = Xw + noise is scaled to a variance of about 1, `NOISE`² of it noise; w has equal parts, of
    random sign, in all eigendirections.
    """
    if not condition >= 1:
        raise ValueError(f"condition = {condition!r}: a condition number is 1 or more")
    rng = np.random.default_rng([seed, 7])
    U, _ = np.linalg.qr(rng.standard_normal((ROWS, FEATURES)))
    V, _ = np.linalg.qr(rng.standard_normal((FEATURES, FEATURES)))
    spread = np.geomspace(1, 1 / condition, FEATURES)
    X = np.sqrt(ROWS) * (U * np.sqrt(spread)) @ V.T
    signal = X @ V @ rng.choice([-1.0, 1.0], FEATURES)
    noise = rng.standard_normal(ROWS)
    y = np.sqrt(1 - NOISE**2) * signal / signal.std() + NOISE * noise / noise.std()
    return Problem(X, y, p)


def predict(problem: Problem, depth: int, start_norm: float, budget: int) -> float:
    """Predicted speed-up of gradient descent at depth N over depth 1; see the module's formula."""
    optimum = problem.optimum().end_to_end[0]
    M = float(np.linalg.norm(optimum))
    shares = np.linspace(0, 1, 41)
    largest, cosine = np.empty((2, len(shares)))
    for i, s in enumerate(shares):
        values, vectors = np.linalg.eigh(single_layer_hessian(problem, s * optimum))
        largest[i], cosine[i] = values[-1], vectors[:, -1] @ optimum / M
    power = 2 - 2 / depth
    sharpness = largest * (shares * M) ** power * (1 + (depth - 1) * cosine**2)
    rate, single = 2 / sharpness.max(), 2 / largest.max()
    g = float(np.linalg.norm(problem.gradient(np.zeros_like(optimum))))
    escape = 0.0 if start_norm >= M else escape_time(depth, start_norm, M, g) / rate
    first = FRACTION * budget
    return first / (escape + first * single / (rate * M**power))


@dataclass(frozen=True)
class MapCell(Task):
    """Depths 1, 2, 3 at all rates from one start; `dataset` is 'synthetic' or a table's name."""

    dataset: str
    p: float
    start: str
    rule: str = "GD"
    condition: float = 1.0
    seed: int = 0

    def problem(self) -> Problem:
        """The problem: a synthetic one of this seed, or the standardised table."""
        if self.dataset == "synthetic":
            return synthetic(self.condition, self.p, self.seed)
        return Problem(*datasets.load(self.dataset).varying().standardized(), self.p)

    def runs(self) -> list[Run]:
        """Depth by depth, each with all rates; width 1, no biases."""
        start, rule = STARTS[self.start], RULES[self.rule]
        return [
            Run(n, 1, start=start, seed=self.seed, rule=rule, rate=rate)
            for n in DEPTHS
            for rate in RATES
        ]

    def run(self) -> Outcome:
        """Distances of all runs, and the predictions (depths 2 and 3, budgets)."""
        problem = self.problem()
        found = curves(problem, self.runs(), POINTS)
        predicted = [[self.predicted(problem, n, b) for b in BUDGETS] for n in DEPTHS[1:]]
        return replace(found, arrays=found.arrays | {"predicted": np.array(predicted)})

    def predicted(self, problem: Problem, depth: int, budget: int) -> float:
        """The speed-up that `predict` gives for this start; 1 for Adam."""
        if self.rule == "Adam":
            return 1.0
        shape = Architecture(depth, 1)
        flat = shape.start(STARTS[self.start], self.seed, problem.d)
        product = end_to_end(shape.unpack(flat, problem.d)[0])
        return predict(problem, depth, float(np.linalg.norm(product)), budget)


def cells(seeds: int = SEEDS) -> list[MapCell]:
    """The map: p × condition number × start × rule; and the real tables, near zero and default."""
    conditions = (1.0, 10.0, 100.0, 1e4)
    made = product((2.0, 3.0, 4.0, 6.0), conditions, STARTS, RULES, range(seeds))
    real = product(REAL, (2.0, 4.0), ("near_zero", "default"), range(seeds))
    return [
        *(MapCell("synthetic", p, start, rule, c, seed) for p, c, start, rule, seed in made),
        *(MapCell(name, p, start, seed=seed) for name, p, start, seed in real),
    ]


def small() -> list[MapCell]:
    """Two synthetic cells from one start."""
    return [MapCell("synthetic", p, "near_zero", "GD", 10.0) for p in (2.0, 4.0)]


CELL = ("dataset", "p", "start", "rule", "condition")
SHARE = 0.01  # of the first distance: the target


def map_table(rows: Sequence[Row], share: float = SHARE) -> pd.DataFrame:
    """One row per cell and depth: the speed-up found to one target a cell (`Estimate`), and the one
    predicted (median over starts).

    The target is this share of the smallest first distance in the cell: the same for every budget.
    The prediction is made for the time that the tuned single layer takes to it, NaN where it never
    does. Columns beside `CELL`: depth, speedup, predicted, fast and predicted_fast (above 1),
    decided (the interval excludes 1, and there is a prediction), edge (a tuned rate is an end of
    the grid), keys.
    """
    found, runs = [], run_tables(rows, MapCell)
    spec = pd.DataFrame([{n: row.spec[n] for n in CELL} | {"row": row} for row in rows])
    for cell, members in spec.groupby(list(CELL)):
        ours = runs[runs.key.isin({row.key for row in members.row})]
        target = share * min(distance[0] for distance in ours.distance)
        predicted = np.median(
            [row.arrays["predicted"].reshape(len(DEPTHS) - 1, -1) for row in members.row], axis=0
        )
        for each in speedup(ours, baseline={"depth": 1}, target=target).itertuples():
            speed = median_interval(*zip(*each.by_start, strict=True))
            expected = _expected(predicted[DEPTHS.index(each.depth) - 1], each.baseline_value)
            known = np.isfinite(expected)
            found.append(
                dict(zip(CELL, cell, strict=True))
                | {
                    "depth": each.depth, "speedup": speed, "predicted": expected,
                    "fast": speed.median_low > 1, "predicted_fast": expected > 1,
                    "decided": known and (speed.within(lower=1) or speed.within(upper=1)),
                    "edge": bool(each.edge or each.baseline_edge),
                    "keys": tuple(row.key for row in members.row),
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def _expected(predicted: Array, first: float) -> float:
    """The prediction for a single layer that takes `first` iterations, from those at `BUDGETS`.

    There T₁/prediction = T₀ + T₁ e₁/e_N, a line in T₁.
    """
    times = FRACTION * np.array(BUDGETS)
    slope, intercept = np.polyfit(times, times / predicted, 1)
    return float(first / (intercept + slope * first)) if np.isfinite(first) else np.nan
