"""Is it a warm-up? Survival by rate, schedules beside depth, and what caps the rate along the way.

Three kinds of tasks, none with a row per run: `Survival` (hundreds of starts at one rate),
`Scheduled` (a few starts under one schedule) and `Steepness` (one recorded run, looked at along
its way).
"""

from __future__ import annotations

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

__all__ = ["DEPTHS", "Scheduled", "Steepness", "Survival", "constant", "curves", "survival"]

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

    task, names = "Survival", ("p", "depth", "rate", "starts", "iterations")

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

    task, names = (
        "Scheduled",
        (
            "p",
            "depth",
            "rate",
            "warm_up",
            "clip",
            "momentum",
            "trimmed",
            "iterations",
            "starts",
        ),
    )

    p: float
    depth: int
    rate: float
    warm_up: int = 0
    clip: float = 0.0
    momentum: float = 0.0
    trimmed: bool = False
    iterations: int = 200_000
    starts: int = 5

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

    Series `iteration`, `sharpness` (of the single layer's loss at W_e), and the effective rates
    `across` and `along` W_e; array `error` (points × directions): |⟨W_e − W*, v⟩| for the
    eigenvectors v of XᵀX/n, steepest first; `spread`: their eigenvalues.

    The rates are those of the layers as they are, η Π a_j² across and ‖w‖² Σ_j Π_{i≠j} a_i² more
    along, for W_e = a_N⋯a_2 w: η‖W_e‖^{2−2/N} and N times that where the layers are balanced. At ℓ4
    that is assumed after 1,000 iterations, of which the record has no layers but at four: there the
    two are within 1 % (depth 2) or both below 1e-11 (depth 3, before it leaves zero).
    """

    task, names = "Steepness", ("p", "depth", "rate", "seed", "iterations")

    p: float
    depth: int
    rate: float
    seed: int = 0
    iterations: int = 1_000_000

    def run(self) -> Outcome:
        run = Run(self.depth, rate=self.rate, seed=self.seed)
        problem = ProblemSpec("ethanol", self.p).build()
        at = np.unique(np.append(0, np.geomspace(1, self.iterations, POINTS)).astype(int))
        exact = at if self.p == 2 else at[at <= 1_000]
        (result,) = train(problem, [run], int(exact[-1]), record_at=exact, states_at=exact)
        ends, states = result.end_to_end[:, 0], [result.states[t] for t in exact]
        across, along = np.transpose([_effective(self.rate, s, problem.d) for s in states])
        if self.p != 2:
            late, trace = self._recorded(run)
            later = np.searchsorted(late, at[at > 1_000])
            at, ends = np.append(exact, late[later]), np.vstack([ends, trace[later]])
            rates = self.rate * np.linalg.norm(trace[later], axis=1) ** (2 - 2 / self.depth)
            across, along = np.append(across, rates), np.append(along, self.depth * rates)
        spread, basis = np.linalg.eigh(problem.moments.xx)
        error = np.abs((ends - problem.optimum().end_to_end[0]) @ basis[:, ::-1])
        sharpness = [single_layer_sharpness(problem, end) for end in ends]
        series = {"iteration": at.astype(float), "sharpness": np.array(sharpness),
                  "across": across, "along": along}  # fmt: skip
        return Outcome({}, series, {"error": error.ravel(), "spread": spread[::-1]})

    def _recorded(self, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Iterations from 1,000 on and W_e there, from the record of tuned rates."""
        spec = Spec(ProblemSpec("ethanol", self.p), run, self.iterations)
        (row,) = compute.lookup([spec]).values()
        late = row.series["iteration"]
        late = late[late >= 1_000].astype(int)
        return late, row.arrays["trace"].reshape(len(late), -1)


def _effective(rate: float, flat: np.ndarray, d: int) -> tuple[float, float]:
    """Effective rates across and along W_e of a chain: η times the eigenvalues of the matrix by
    which its layers' steps change the gradient (paper, Theorem 1; no balance is assumed)."""
    w, a = flat[:d], flat[d:]
    across = np.prod(a) ** 2
    others = sum(np.prod(np.delete(a, j)) ** 2 for j in range(len(a)))
    return rate * across, rate * (across + w @ w * others)


POINTS = 60

# The tuned rates of the paper's grid (a test holds them to the record).
TUNED = {2.0: (1e-2, 1e-3, 5e-3), 4.0: (5e-4, 1e-4, 5e-5)}


def steepness() -> list[Steepness]:
    """The tuned runs of both losses, start 0."""
    return [Steepness(p, depth, TUNED[p][depth - 1]) for p in TUNED for depth in DEPTHS]


# ---- survival -----------------------------------------------------------------------------------

# Twelve rates a decade around one layer's limit. A deeper network's fate is not decided in a
# thousand iterations: the recorded runs diverge when their effective rate meets the limit, after
# 100,000 and more.
AROUND = {(4.0, 1): grid(3.16e-4, 3.16e-3, 12), (2.0, 1): grid(1e-2, 3.16e-2, 12)}


def survival() -> list[Survival]:
    """Every rate of `AROUND`, ℓ4 first."""
    return [Survival(p, depth, rate) for (p, depth), rates in AROUND.items() for rate in rates]


# ---- schedules ----------------------------------------------------------------------------------

WARM_UPS = (100, 1_000, 10_000)
CLIPS = (0.1, 1.0, 10.0, 100.0)
#: (warm_up, clip): each warm-up, each threshold. Constant rates are in the record already.
SCHEDULES = (*((t, 0.0) for t in WARM_UPS), *((0, c) for c in CLIPS))
SCREENED = 20_000  # iterations of the ℓ4 screen
BUDGET = {2.0: 1_000_000, 4.0: 200_000}

# Six rates a decade. One layer's may rise to where the loss is flattest, near the optimum; a deeper
# network's effective rate rises by itself.
RATES = {
    (4.0, 1): grid(1e-3, 1e-2, 6), (4.0, 2): grid(2.15e-4, 1e-3, 6),
    (4.0, 3): grid(1e-4, 6.81e-4, 6), (2.0, 1): grid(4.64e-3, 2.15e-2, 6),
    (2.0, 2): grid(6.81e-4, 3.16e-3, 6), (2.0, 3): grid(1e-3, 1e-2, 6),
}  # fmt: skip


def screen() -> list[Scheduled]:
    """ℓ4, one layer, every rate and schedule for fewer iterations, four starts: where it is stable
    under which."""
    return [
        Scheduled(4.0, 1, rate, warm_up, clip, iterations=SCREENED, starts=4)
        for warm_up, clip in SCHEDULES
        for rate in RATES[4.0, 1]
    ]


def layers() -> list[Scheduled]:
    """ℓ4, one layer under the warm-up and the threshold that were best in the screen, at the rate
    that was best under it and its neighbours: five starts, 200,000 iterations."""
    best = {(1_000, 0.0): grid(2.15e-3, 4.64e-3, 6), (0, 1.0): grid(4.64e-3, 1e-2, 6)}
    return [Scheduled(4.0, 1, rate, *kind) for kind, rates in best.items() for rate in rates]


def deeper(depth: int) -> list[Scheduled]:
    """ℓ4, a deeper network: constant where the record has no such rate, a warm-up as long as the
    way out of zero, and a threshold that binds at the start alone."""
    kinds = ((10_000, 0.0), (0, 1.0)) if depth == 2 else ((0, 0.0), (10_000, 0.0), (0, 1.0))
    rates = {2: grid(3.16e-4, 6.81e-4, 6), 3: grid(1.47e-4, 3.16e-4, 6)}[depth]
    return [Scheduled(4.0, depth, rate, *kind) for kind in kinds for rate in rates]


def squares() -> list[Scheduled]:
    """ℓ2: one layer under every schedule, the others under four, five starts, a million
    iterations."""
    few = ((10_000, 0.0), (0, 1.0))
    return [
        Scheduled(2.0, depth, rate, warm_up, clip, iterations=BUDGET[2.0])
        for depth, schedules in ((1, SCHEDULES), (2, few), (3, few))
        for warm_up, clip in schedules
        for rate in RATES[2.0, depth]
    ]


def heavy_ball() -> list[Scheduled]:
    """ℓ2 with momentum 0.9, rates six a decade, five starts, 200,000 iterations."""
    rates = {1: grid(1e-2, 6.81e-2, 6), 2: grid(1e-4, 2.15e-3, 6), 3: grid(1e-4, 2.15e-3, 6)}
    return [
        Scheduled(2.0, depth, rate, momentum=0.9, iterations=BUDGET[4.0])
        for depth in DEPTHS
        for rate in rates[depth]
    ]


def constant(frame: pd.DataFrame, p: float) -> pd.DataFrame:
    """The recorded runs at constant rates as `curves` gives them, cut at the loss's budget: a run
    that diverges later has completed it."""
    table, budget = [], BUDGET[p]
    for (depth, rate), group in frame[frame.p.eq(p)].groupby(["depth", "rate"]):
        distances, at = [], max(group.iteration, key=len)
        at = at[at <= budget]
        for iteration, distance in zip(group.iteration, group.distance, strict=True):
            cut = np.full(len(at), np.nan)
            kept = distance[iteration <= budget]
            cut[: len(kept)] = kept
            distances.append(cut)
        table.append(
            {"p": p, "depth": depth, "rate": rate, "iterations": budget, "starts": len(group),
             "final": _final(distances), "iteration": at, "distances": distances}
        )  # fmt: skip
    fixed = {"warm_up": 0, "clip": 0.0, "momentum": 0.0, "trimmed": False}
    return pd.DataFrame(table).assign(**fixed)


def _final(distances: Sequence[np.ndarray]) -> float:
    return float(np.median([d[-1] if np.isfinite(d[-1]) else np.inf for d in distances]))


def curves(rows: Sequence) -> pd.DataFrame:
    """A row a model and rate: `final`, the median over starts of the last distance (a diverged
    start counts as +inf), `survivors` of `starts`, and the curves: `iteration`, `distances`."""
    table = []
    for row in rows:
        spec = row.spec
        distances = [row.series[f"distance {i}"] for i in range(spec["starts"])]
        table.append(
            {name: spec[name] for name in Scheduled.__dataclass_fields__}
            | row.summary
            | {"final": _final(distances), "iteration": row.series["iteration"],
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
