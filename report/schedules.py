"""Is it a warm-up? Survival by rate, schedules beside depth, and what caps the rate along the way.

Three kinds of tasks, none with a row per run: `Survival` (hundreds of starts at one rate),
`Scheduled` (a few starts under one schedule) and `Steepness` (one recorded run, looked at along
its way).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accel_core.engine.batch import Batch
from accel_core.rules import GradientDescent, Momentum
from accel_core.schedules import Constant, WarmUp
from accel_core.sharpness import single_layer_sharpness
from accel_core.training import Run, record_points, train
from report import compute
from report.experiments import ProblemSpec, Spec
from report.replications.store import Outcome, Task

__all__ = ["DEPTHS", "Scheduled", "Steepness", "Survival", "curves", "full", "screen", "survival"]

DEPTHS = (1, 2, 3)
STARTS = 300
CHUNK = 100  # starts side by side


def grid(low: float, high: float, per_decade: int) -> tuple[float, ...]:
    """The powers 10^(k/per_decade) from low to high, to three digits: 0.001 is one of them."""
    first, last = (round(np.log10(rate) * per_decade) for rate in (low, high))
    return tuple(float(f"{10 ** (k / per_decade):.3g}") for k in range(first, last + 1))


@dataclass(frozen=True)
class Survival(Task):
    """How many of `starts` near-zero starts (seeds 0, 1, …) live through the first iterations.

    Array `diverged_at` (starts,): the iteration at which a start diverged, −1 where it lived.
    """

    p: float
    depth: int
    rate: float
    starts: int = STARTS
    iterations: int = 1_000

    def run(self) -> Outcome:
        problem, left = ProblemSpec("ethanol", self.p).build(), []
        for first in range(0, self.starts, CHUNK):
            seeds = range(first, min(first + CHUNK, self.starts))
            batch = Batch(problem, [Run(self.depth, rate=self.rate, seed=s) for s in seeds])
            batch.advance(self.iterations)
            left += batch.diverged.tolist()
        survivors = int(np.sum(np.array(left) < 0))
        return Outcome({"survivors": survivors}, {}, {"diverged_at": np.array(left, float)})


@dataclass(frozen=True)
class Scheduled(Task):
    """Curves of a few near-zero starts (seeds 0, 1, …) at one rate under one schedule.

    `warm_up`: steps, 0 for none. `clip`: largest norm of the gradient, 0 for no bound. `momentum`:
    heavy ball's β. Series `iteration`, and `distance i` of start i, NaN from its divergence on.
    """

    p: float
    depth: int
    rate: float
    warm_up: int = 0
    clip: float = 0.0
    momentum: float = 0.0
    trimmed: bool = False
    iterations: int = 200_000
    starts: int = 8

    def runs(self) -> list[Run]:
        """The runs, one a start."""
        schedule = WarmUp(self.warm_up) if self.warm_up else Constant()
        rule = Momentum(self.momentum) if self.momentum else GradientDescent()
        return [
            Run(self.depth, rule=rule, rate=self.rate, seed=seed, schedule=schedule,
                clip=self.clip or np.inf)
            for seed in range(self.starts)
        ]  # fmt: skip

    def run(self) -> Outcome:
        problem = ProblemSpec("ethanol", self.p, self.trimmed).build()
        optimum, points = problem.optimum().loss, record_points(self.iterations)
        results = train(problem, self.runs(), self.iterations, record_at=points)
        series = {"iteration": points.astype(float)}
        for seed, result in enumerate(results):
            distance = np.full(len(points), np.nan)
            distance[: len(result.loss)] = result.loss - optimum
            series[f"distance {seed}"] = distance
        lived = sum(result.status == "completed" for result in results)
        return Outcome({"survivors": lived}, series, {})


@dataclass(frozen=True)
class Steepness(Task):
    """A recorded run of tuned rates, looked at along its way, at `POINTS` iterations.

    Series `iteration`, `sharpness` (of the single layer's loss at W_e), `across` and `along` (the
    effective rates η‖W_e‖^{2−2/N} and N times that). Array `error` (points × directions):
    |⟨W_e − W*, v⟩| for the eigenvectors v of XᵀX/n, steepest first; `spread`: their eigenvalues.
    """

    p: float
    depth: int
    rate: float
    seed: int = 0

    def run(self) -> Outcome:
        spec = Spec(
            ProblemSpec("ethanol", self.p),
            Run(self.depth, rate=self.rate, seed=self.seed),
            1_000_000,
        )
        problem, (row,) = spec.problem.build(), compute.lookup([spec]).values()
        early = train(problem, [spec.run], 1_000)[0]
        late = row.series["iteration"]
        late = late[late >= 1_000].astype(int)
        trace = row.arrays["trace"].reshape(len(late), -1)
        gap = np.abs(early.end_to_end[-1, 0] - trace[0]).max() / np.abs(trace[0]).max()
        if not gap < 1e-9:
            raise ArithmeticError(f"{spec}: at 1,000 iterations {gap:.1e} off the recorded run")
        at = np.append(early.iteration[:-1], late)
        ends = np.vstack([early.end_to_end[:-1, 0], trace])
        chosen = np.unique(np.searchsorted(at, np.append(0, np.geomspace(1, at[-1], POINTS))))
        at, ends = at[chosen], ends[chosen]
        rate = self.rate * np.linalg.norm(ends, axis=1) ** (2 - 2 / self.depth)
        spread, basis = np.linalg.eigh(problem.moments.xx)
        error = np.abs((ends - problem.optimum().end_to_end[0]) @ basis[:, ::-1])
        series = {
            "iteration": at.astype(float),
            "sharpness": np.array([single_layer_sharpness(problem, end) for end in ends]),
            "across": rate,
            "along": self.depth * rate,
        }
        return Outcome({}, series, {"error": error.ravel(), "spread": spread[::-1]})


POINTS = 60

# The tuned rates of the paper's grid (a test holds them to the record).
TUNED = {2.0: (1e-2, 1e-3, 5e-3), 4.0: (5e-4, 1e-4, 5e-5)}


def steepness() -> list[Steepness]:
    """The tuned runs of both losses, start 0."""
    return [Steepness(p, depth, TUNED[p][depth - 1]) for p in TUNED for depth in DEPTHS]


# ---- survival -----------------------------------------------------------------------------------

# Twelve rates a decade around the largest that all five starts of the record survive.
AROUND = {
    (4.0, 1): grid(3.16e-4, 3.16e-3, 12), (4.0, 2): grid(1e-4, 1e-3, 12),
    (4.0, 3): grid(3.16e-5, 5.62e-4, 12), (2.0, 1): grid(1e-2, 3.16e-2, 12),
    (2.0, 2): grid(1e-3, 1.78e-2, 12), (2.0, 3): grid(1e-3, 1.78e-2, 12),
}  # fmt: skip


def survival() -> list[Survival]:
    """Every rate of `AROUND`, ℓ4 first."""
    return [Survival(p, depth, rate) for (p, depth), rates in AROUND.items() for rate in rates]


# ---- schedules ----------------------------------------------------------------------------------

WARM_UPS = (100, 1_000, 10_000, 100_000)
CLIPS = (0.1, 1.0, 10.0, 100.0)
#: (warm_up, clip): constant, each warm-up, each threshold.
SCHEDULES = ((0, 0.0), *((t, 0.0) for t in WARM_UPS), *((0, c) for c in CLIPS))

# Six rates a decade; under a schedule ℓ4 may allow more than ten times the constant rate's limit.
RATES = {
    (4.0, 1): grid(3.16e-4, 3.16e-2, 6), (4.0, 2): grid(6.81e-5, 3.16e-3, 6),
    (4.0, 3): grid(3.16e-5, 1.47e-3, 6), (2.0, 1): grid(4.64e-3, 2.15e-2, 6),
    (2.0, 2): grid(4.64e-4, 1e-2, 6), (2.0, 3): grid(4.64e-4, 1e-2, 6),
}  # fmt: skip
SCREENED = 20_000  # iterations of the ℓ4 screen
BUDGET = {2.0: 1_000_000, 4.0: 200_000}


def screen(trimmed: bool = False) -> list[Scheduled]:
    """ℓ4, every rate and schedule for fewer iterations, four starts: where a model is stable. A
    warm-up of 100,000 steps would not be over."""
    return [
        Scheduled(4.0, depth, rate, warm_up, clip, 0.0, trimmed, SCREENED, 4)
        for depth, (warm_up, clip) in itertools.product(DEPTHS, SCHEDULES)
        for rate in RATES[4.0, depth]
        if warm_up <= SCREENED
    ]


def squares() -> list[Scheduled]:
    """ℓ2: the whole grid, five starts, a million iterations."""
    return [
        Scheduled(2.0, depth, rate, warm_up, clip, iterations=BUDGET[2.0], starts=5)
        for depth, (warm_up, clip) in itertools.product(DEPTHS, SCHEDULES)
        for rate in RATES[2.0, depth]
    ]


def full(screened: pd.DataFrame, trimmed: bool = False) -> list[Scheduled]:
    """ℓ4 at each depth's best constant rate, best warm-up and best threshold of the screen, and at
    the two neighbours of its rate: eight starts, 200,000 iterations."""
    tasks = []
    for depth in DEPTHS:
        own = screened[screened.depth.eq(depth) & screened.trimmed.eq(trimmed)]
        kinds = (own.warm_up.eq(0) & own.clip.eq(0), own.warm_up.gt(0), own.clip.gt(0))
        for members in kinds:
            best = own[members].sort_values("final").iloc[0]
            rates = RATES[4.0, depth]
            i = rates.index(best.rate)
            tasks += [
                Scheduled(4.0, depth, rate, int(best.warm_up), float(best.clip), trimmed=trimmed)
                for rate in rates[max(i - 1, 0) : i + 2]
            ]
    return tasks


def curves(rows: Sequence) -> pd.DataFrame:
    """A row a model and rate: `final`, the median over starts of the last distance (a diverged
    start counts as +inf), `survivors` of `starts`, and the curves: `iteration`, `distances`."""
    table = []
    for row in rows:
        spec = row.spec
        distances = [row.series[f"distance {i}"] for i in range(spec["starts"])]
        last = [d[-1] if np.isfinite(d[-1]) else np.inf for d in distances]
        table.append(
            {name: spec[name] for name in Scheduled.__dataclass_fields__}
            | row.summary
            | {"final": float(np.median(last)), "iteration": row.series["iteration"],
               "distances": distances}
        )  # fmt: skip
    return pd.DataFrame(table)


def survival_table(rows: Sequence) -> pd.DataFrame:
    """A row a loss, depth and rate: `share` that lived, `low` and `high` of its 95 % interval
    (Clopper and Pearson), `median_left`, the median iteration at which the others diverged."""
    from scipy.stats import binomtest

    table = []
    for row in rows:
        left = row.arrays["diverged_at"]
        interval = binomtest(row.summary["survivors"], len(left)).proportion_ci()
        table.append(
            {name: row.spec[name] for name in ("p", "depth", "rate", "starts", "iterations")}
            | {"survivors": row.summary["survivors"],
               "share": row.summary["survivors"] / len(left),
               "low": interval.low, "high": interval.high,
               "median_left": float(np.median(left[left >= 0])) if (left >= 0).any() else np.nan}
        )  # fmt: skip
    return pd.DataFrame(table)
