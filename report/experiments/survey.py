"""A survey of real tables: at its best rate, is a deeper network faster than one layer?

A `Survey` is one problem, a table with an ℓp loss: depths 1, 2, 3 from the same near-zero starts,
each at rates that are searched until the best is inside the grid. Two formulas predict its speed-up
and were written down before any of it was computed: that of the map (`depth_map.predict`), and the
layers' flow (`flow.flow`). Nothing in them is fitted.

A target is where one layer is after a share of the budget, but never less than `LEAST` of its first
distance: below that nothing but the last digits is compared.
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
from accel_core.curves import arrival, distance_at
from accel_core.initializers import NearZero
from accel_core.intervals import median_interval
from accel_core.models import Architecture, end_to_end
from accel_core.optimum import NearlyCollinear
from accel_core.problem import Problem
from accel_core.sharpness import single_layer_hessian
from accel_core.statistics import run_table, tune
from accel_core.training import Run, record_points, train
from report.experiments.flow import flow
from report.experiments.tasks import Outcome, Task, Tasks
from report.record import Row

__all__ = ["EXPERIMENTS", "HALF_A", "SHARES", "TABLES", "TRIMMED", "Survey", "runs_of", "small",
           "survey_table"]  # fmt: skip

Array = NDArray[np.float64]

TABLES = tuple(n for n in datasets.NAMES if n not in ("mnist", "abalone-without-sex"))
#: Tables with a feature or label more than `FAR` standard deviations out.
TRIMMED = ("ethanol", "abalone", "elevators", "machine", "parkinsons", "pol", "protein",
           "skillcraft", "sml", "wine")  # fmt: skip
FAR, ROWS, HELD_OUT = 10.0, 5_000, 0.2
#: Drawn before the runs: what is fitted is fitted on these, and judged on the others. With one
#: more: at `airfoil` (and at `yacht`) the search was tried out before the criteria were written.
HALF_A = ("airfoil", *np.random.default_rng(15).permutation(sorted(TABLES))[:10].tolist())
SHARES = (0.1, 0.4, 0.8)  #: of the budget: where one layer is by then is a target
LEAST = 1e-6  # of the first distance
DEPTHS, STARTS = (1, 2, 3), 5
START = NearZero(0.01)
COARSE, MOST = 3, 45  # rates are 10^(k/9): every third at first; at most so many a depth
#: Tables of at most 11,000 numbers: cheap enough at ℓ4 for ten times the budget.
QUICK = ("airfoil", "autompg", "concrete", "energy", "machine", "solar", "stock", "yacht")


@dataclass(frozen=True)
class Survey(Task):
    """All depths and rates on one table; `trimmed`: without its rows beyond `FAR`."""

    task, names = "Survey", ("dataset", "p", "trimmed", "iterations", "starts")
    together: ClassVar[int] = 1  # a problem takes seconds to minutes: each is kept when done

    dataset: str
    p: float
    trimmed: bool = False
    iterations: int = 10_000
    starts: int = STARTS

    def rows(self) -> tuple[Array, Array, Array, Array]:
        """X, y to train on and X, y held out: a fixed random fifth, standardised as the others."""
        data = datasets.load(self.dataset)
        table = np.column_stack([data.X, data.y])
        order = np.random.default_rng(0).permutation(len(table))
        if self.trimmed:
            moving = np.ptp(table, axis=0) > 0
            far = (np.abs(datasets.standardize(table[:, moving])) > FAR).any(axis=1)
            order = order[~far[order]]
        table = table[order[:ROWS]]
        own, other = np.split(table, [round((1 - HELD_OUT) * len(table))])
        moving = np.ptp(own, axis=0) > 0
        own, other = ((part[:, moving] - own[:, moving].mean(0)) / own[:, moving].std(0)
                      for part in (own, other))  # fmt: skip
        return own[:, :-1], own[:, -1], other[:, :-1], other[:, -1]

    def run(self) -> Outcome:
        """The curves of all runs, the targets, both predictions, and the held-out losses."""
        with warnings.catch_warnings(action="ignore", category=NearlyCollinear):
            return _Search(self).outcome()


class _Search:
    """The runs of one problem as they are added."""

    def __init__(self, task: Survey):
        self.task, (X, y, *other) = task, task.rows()
        self.problem, self.held_out = Problem(X, y, task.p), Problem(*other, task.p)
        self.points = record_points(task.iterations, 12)
        steepest = np.linalg.eigvalsh(single_layer_hessian(self.problem, self.zero))[-1]
        middle = COARSE * round(9 / COARSE * np.log10(1 / steepest))
        self.first = range(middle - 2 * COARSE, middle + 2 * COARSE + 1, COARSE)
        self.found = {depth: {} for depth in DEPTHS}  # k → results, by start

    @property
    def zero(self) -> Array:
        return np.zeros((1, self.problem.d))

    def add(self, depth: int, ks: Sequence[int]) -> None:
        seeds = range(self.task.starts)
        runs = [Run(depth, start=START, rate=_rate(k), seed=s) for k in ks for s in seeds]
        done = iter(train(self.problem, runs, self.task.iterations, record_at=self.points))
        self.found[depth] |= {k: [next(done) for _ in seeds] for k in ks}

    def table(self, depth: int) -> pd.DataFrame:
        every = [result for results in self.found[depth].values() for result in results]
        return run_table(self.problem, every).assign(budget=self.task.iterations)

    def best(self, depth: int, target: float | None) -> int:
        return _k(tune(self.table(depth), target=target, reach=arrival).rate.item())

    def settle(self, depth: int, targets: Sequence[float | None]) -> None:
        """Adds rates until every target's best one has neighbours, coarse and fine, on both sides:
        a tuned rate is never the end of the grid."""
        missing = set(self.first) - set(self.found[depth])
        while len(self.found[depth]) + len(missing) <= MOST:
            if missing:
                self.add(depth, sorted(missing))
            best = {self.best(depth, target) for target in targets}
            for steps in ((COARSE,), (1, 2)):
                beside = {k + side * step for k in best for step in steps for side in (-1, 1)}
                if missing := beside - set(self.found[depth]):
                    break
            else:
                return

    def outcome(self) -> Outcome:
        self.settle(1, [None])
        tuned = self.found[1][self.best(1, None)]
        optimum = self.problem.optimum()
        first = self.problem.loss(self.zero) - optimum.loss
        at = [distance_at(r.iteration, r.loss - optimum.loss, np.multiply(SHARES, self.points[-1]))
              for r in tuned]  # fmt: skip
        targets = np.maximum(np.median(at, axis=0), LEAST * first)
        held_out = np.full((len(DEPTHS), len(SHARES), self.task.starts), np.nan)
        times, k = np.full_like(held_out, np.inf), np.empty(held_out.shape[:2])
        for i, depth in enumerate(DEPTHS):
            self.settle(depth, targets)
            for j, target in enumerate(targets):
                k[i, j] = self.best(depth, target)
                for s, result in enumerate(self.found[depth][k[i, j]]):
                    times[i, j, s], held_out[i, j, s] = self.arrived(result, target)
        every = [r for depth in DEPTHS for k in sorted(self.found[depth])
                 for r in self.found[depth][k]]  # fmt: skip
        distance = np.full((len(every), len(self.points)), np.nan)
        for curve, result in zip(distance, every, strict=True):
            curve[: len(result.loss)] = result.loss - optimum.loss
        arrays = {"distance": distance, "targets": targets, "times": times, "tuned": k,
                  "held_out": held_out, "depth": [r.run.depth for r in every],
                  "k": [_k(r.run.rate) for r in every]}  # fmt: skip
        arrays |= self.predictions(targets, np.median(times[0], axis=-1))
        summary = {"optimum": optimum.loss, "floor": optimum.error, "first": first,
                   "diverged_at": [r.diverged_at for r in every]} | self.kind()  # fmt: skip
        return Outcome(summary, {"iteration": self.points}, arrays)

    def arrived(self, result, target: float) -> tuple[float, float]:
        """Iterations to the target, and the held-out loss there."""
        distance = result.loss - self.problem.optimum().loss
        there = arrival(result.iteration, distance, target)
        if result.status != "completed" or not np.isfinite(there.iterations):
            return np.inf, np.nan
        losses = [self.held_out.loss(W) for W in result.end_to_end]
        return there.iterations, np.interp(there.iterations, result.iteration, losses)

    def predictions(self, targets: Array, single: Array) -> dict[str, Array]:
        """Speed-ups (depths 2 and 3, targets): the map's for a single layer that takes `single`
        iterations, and the flow's; and the flow's rates (depths)."""
        from report.replications.depth_map import FRACTION, predict

        map_, taken, rates, d = [], [], [], self.problem.d
        for depth in DEPTHS:
            shape = Architecture(depth, 1)
            start = shape.start(START, 0, d)
            time, rate = flow(self.problem, targets, start)
            size = np.linalg.norm(end_to_end(shape.unpack(start, d)[0]))
            map_.append([predict(self.problem, depth, size, t / FRACTION) for t in single])
            taken.append(time / rate)
            rates.append(rate)
        return {"map": map_[1:], "flow": taken[0] / np.array(taken[1:]), "flow_rate": rates}

    def kind(self) -> dict[str, float]:
        """What kind of table it is; `leverage`: the share of the hundredth of rows with most."""
        X, y = self.problem.X, self.problem.y[:, 0]
        U, s, _ = np.linalg.svd(X, full_matrices=False)
        leverage = np.sort(np.sum(U[:, s > 1e-10 * s[0]] ** 2, axis=1))[::-1]
        top = leverage[: max(1, len(X) // 100)].sum() / leverage.sum()
        return {"rows": len(X), "features": X.shape[1], "kurtosis": float(np.mean(y**4)),
                "condition": self.problem.optimum().condition, "leverage": float(top)}  # fmt: skip


def _rate(k: int) -> float:
    return float(10 ** (k / 9))


def _k(rate: float) -> int:
    return round(9 * np.log10(rate))


def surveys() -> list[Survey]:
    """Every table at ℓ2 and ℓ4, with and without its outlying rows; a hundred iterations; then ten
    times the budget, at ℓ2 for all and at ℓ4 for the small ones."""
    variants = [(t, trimmed) for t in TABLES for trimmed in (False, True)[: 1 + (t in TRIMMED)]]
    usual = [Survey(t, p, trimmed) for t, trimmed in variants for p in (2.0, 4.0)]
    long = [Survey(t, 2.0, trimmed, 100_000) for t, trimmed in variants]
    short = [replace(each, iterations=100) for each in usual]
    return usual + short + long + [Survey(t, 4.0, False, 100_000) for t in QUICK]


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
            "key": row.key, "depth": depth[i], "rate": _rate(k[i]), "seed": i % row.spec["starts"],
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
            bounds = [_ratio(of, to, budget) for of, to in pairs]
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


def _ratio(of: float, to: float, budget: int) -> tuple[float, float]:
    """Bounds of of/to: a run that does not arrive takes more than the budget."""
    return min(of, budget) / to, of / min(to, budget)


def _early(task: Survey, row: Row) -> list:
    """One layer's first hundred iterations at its lowest rate."""
    X, y, *_ = task.rows()
    problem, at = Problem(X, y, task.p), row.series["iteration"].astype(int)
    at = at[at <= 100]
    with warnings.catch_warnings(action="ignore", category=NearlyCollinear):
        (done,) = train(problem, [Run(1, start=START, rate=_rate(row.arrays["k"][0]))], 100,
                        record_at=at)  # fmt: skip
        distance = done.loss - problem.optimum().loss
    return [("distance", np.ravel(row.arrays["distance"])[: len(at)], distance)]


EXPERIMENTS = (Tasks("survey", surveys, (("survey", survey_table),), _early),)
