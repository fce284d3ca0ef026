"""The search for each depth's best rate on one problem, and what is found at the best rates.

A target is where one layer is after a share of the budget, but never less than `LEAST` of its first
distance: below that nothing but the last digits is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accel_core.curves import arrival, distance_at
from accel_core.initializers import NearZero
from accel_core.models import Architecture, end_to_end
from accel_core.problem import Problem
from accel_core.sharpness import single_layer_hessian
from accel_core.statistics import run_table, tune
from accel_core.training import Run, record_points, train
from report.experiments.flow import flow
from report.experiments.tasks import Outcome

Array = NDArray[np.float64]

DEPTHS, START = (1, 2, 3), NearZero(0.01)
SHARES = (0.1, 0.4, 0.8)  #: of the budget: where one layer is by then is a target
LEAST = 1e-6  # of the first distance
COARSE, MOST = 3, 45  # rates are 10^(k/9): every third at first; at most so many a depth


class Search:
    """The runs of one problem as they are added."""

    def __init__(self, task):
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
        runs = [Run(depth, start=START, rate=rate_of(k), seed=s) for k in ks for s in seeds]
        done = iter(train(self.problem, runs, self.task.iterations, record_at=self.points))
        self.found[depth] |= {k: [next(done) for _ in seeds] for k in ks}

    def table(self, depth: int) -> pd.DataFrame:
        every = [result for results in self.found[depth].values() for result in results]
        return run_table(self.problem, every).assign(budget=self.task.iterations)

    def best(self, depth: int, target: float | None) -> int:
        return k_of(tune(self.table(depth), target=target, reach=arrival).rate.item())

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
                  "k": [k_of(r.run.rate) for r in every]}  # fmt: skip
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


def rate_of(k: int) -> float:
    """The grid's k-th rate."""
    return float(10 ** (k / 9))


def k_of(rate: float) -> int:
    """Which of the grid's rates this is."""
    return round(9 * np.log10(rate))
