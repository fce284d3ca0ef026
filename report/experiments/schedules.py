"""Is it a warm-up? Learning-rate schedules beside depth, a task a model and rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from accel_core.rules import GradientDescent, Momentum
from accel_core.schedules import Constant, WarmUp
from accel_core.training import Run, record_points, train
from report.experiments.problems import ProblemSpec
from report.experiments.survival import grid
from report.experiments.tasks import Outcome, Task, Tasks
from report.record import Row

__all__ = ["EXPERIMENTS", "Scheduled", "constant", "curves"]

DEPTHS = (1, 2, 3)


@dataclass(frozen=True)
class Scheduled(Task):
    """Curves of a few near-zero starts (seeds 0, 1, …) at one rate under one schedule.

    `warm_up`: steps, 0 for none. `clip`: largest norm of the gradient, 0 for no bound. `momentum`:
    heavy ball's β. Series `iteration`, and `distance i` of start i, NaN from its divergence on.
    """

    task = "Scheduled"
    names = (
        *("p", "depth", "rate", "warm_up", "clip"),
        *("momentum", "trimmed", "iterations", "starts"),
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


WARM_UPS = (100, 1_000, 10_000)
CLIPS = (0.1, 1.0, 10.0, 100.0)
#: (warm_up, clip): each warm-up, each threshold. Constant rates are in the record already.
SCHEDULES = (*((t, 0.0) for t in WARM_UPS), *((0, c) for c in CLIPS))
SCREENED = 20_000  # iterations of the ℓ4 screen
BUDGET = {2.0: 1_000_000, 4.0: 200_000}

# One layer's rate may rise to where the loss is flattest, near the optimum: six a decade.
RATES = grid(1e-3, 1e-2, 6)


def screen() -> list[Scheduled]:
    """ℓ4, one layer, every rate and schedule for fewer iterations, four starts: where it is stable
    under which."""
    return [
        Scheduled(4.0, 1, rate, warm_up, clip, iterations=SCREENED, starts=4)
        for warm_up, clip in SCHEDULES
        for rate in RATES
    ]


def layers() -> list[Scheduled]:
    """ℓ4, one layer under the warm-up and the threshold that were best in the screen, at the rate
    that was best under it and its neighbours: five starts, 200,000 iterations."""
    best = {(1_000, 0.0): grid(2.15e-3, 4.64e-3, 6), (0, 1.0): grid(4.64e-3, 1e-2, 6)}
    return [Scheduled(4.0, 1, rate, *kind) for kind, rates in best.items() for rate in rates]


def deeper() -> list[Scheduled]:
    """ℓ4, two layers under a warm-up as long as the way out of zero, and under a threshold, at
    higher rates once the first three had ended at the highest."""
    warm = [Scheduled(4.0, 2, rate, 10_000) for rate in grid(3.16e-4, 6.81e-4, 6)]
    return warm + [Scheduled(4.0, 2, rate, 0, 1.0) for rate in grid(3.16e-4, 2.15e-3, 6)]


def squares() -> list[Scheduled]:
    """ℓ2, one layer just below and above its limit (0.0137), a million iterations."""
    kinds = ((1_000, 0.0), (10_000, 0.0), (0, 1.0), (0, 10.0))
    return [
        Scheduled(2.0, 1, rate, *kind, iterations=BUDGET[2.0])
        for kind in kinds
        for rate in grid(1e-2, 1.47e-2, 12)
    ]


def heavy_ball() -> list[Scheduled]:
    """ℓ2 with momentum 0.9, rates six a decade and nearer to one layer's limit (0.0260), five
    starts, 200,000 iterations."""
    rates = {
        1: (*grid(1e-2, 6.81e-2, 6), 0.0237, 0.0255),
        2: grid(1e-4, 1e-2, 6),
        3: grid(1e-4, 1e-2, 6),
    }
    return [
        Scheduled(2.0, depth, rate, momentum=0.9, iterations=BUDGET[4.0])
        for depth in DEPTHS
        for rate in rates[depth]
    ]


def constant(frame: pd.DataFrame, p: float) -> pd.DataFrame:
    """The recorded runs at constant rates as `curves` gives them, cut at the loss's budget: a run
    that diverges later has completed it."""
    table, budget, frame = [], BUDGET[p], frame[frame.p.eq(p)]
    at = max(frame.iteration, key=len)
    at = at[at <= budget]
    for (depth, rate), group in frame.groupby(["depth", "rate"]):
        distances = []
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


def tasks() -> list[Scheduled]:
    """Everything that was run."""
    return [*screen(), *layers(), *deeper(), *squares(), *heavy_ball()]


def _first(task: Scheduled, row: Row, iterations: int = 30) -> list:
    """The first iterations of its first start: at the edge of stability round-off grows."""
    now, kept = replace(task, iterations=iterations, starts=1).run().series, row.series
    _, ours, theirs = np.intersect1d(now["iteration"], kept["iteration"], return_indices=True)
    return [("distance", kept["distance 0"][theirs], now["distance 0"][ours])]


EXPERIMENTS = (Tasks("schedules", tasks, (("schedules", curves),), _first),)
