"""Starts near the identity: deep networks beside ones from near zero, and what explains them.

Beside the sweeps: how long a near-zero network stays at its saddle, one that leaves it and is
thrown back, and every tuned model again in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from accel_core.initializers import IdentityOffset, NearZero
from accel_core.rules import GradientDescent, Momentum
from accel_core.statistics import tune
from accel_core.theory.escape import LEFT
from accel_core.theory.escape import escape_times as flow_times
from accel_core.training import Run, train
from report import work
from report.compute import compute, fresh
from report.experiments.problems import ProblemSpec
from report.experiments.sweeps import Sweep, Together
from report.experiments.tasks import Outcome, Task, Tasks
from report.record import Row

__all__ = ["EXPERIMENTS", "EscapeTime", "Excursion", "Precision", "escape_times", "excursions",
           "precision_table", "precisions"]  # fmt: skip

STARTS = {work.text(start): start for start in (NearZero(0.01), IdentityOffset(0.01))}


def _identity(name: str, width: int) -> Together:
    layer = Sweep(name, 100_000, p=(4.0,), depth=(1,))
    starts = (NearZero(0.01), IdentityOffset(0.01))
    deep = Sweep(name, 100_000, p=(4.0,), depth=(4, 8), width=(width,), start=starts)
    return Together(name, (layer, deep))


def _tried_for_identity(name: str) -> Together:
    """What might give the printed curves from identity starts: rates between those of the grid,
    and momentum at the same effective rates η/(1 − β)."""
    effective = (6e-5, 7e-5, 8e-5, 9e-5, 1e-4, 1.2e-4, 1.4e-4)
    rules = {GradientDescent(): 1.0, Momentum(0.9): 0.1, Momentum(0.9, nesterov=True): 0.1}
    return Together(
        name,
        tuple(
            Sweep(name, 100_000, p=(4.0,), depth=(4, 8), start=(IdentityOffset(0.01),),
                  rule=(rule,), rate=tuple(float(f"{rate * share:.3g}") for rate in effective))
            for rule, share in rules.items()
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Precision(Task):
    """One ℓp run on ethanol in float32, its distance from the same run in float64."""

    task, names = "Precision", ("p", "depth", "start", "rate", "seed", "iterations")

    p: float
    depth: int
    start: str  # repr of the initializer
    rate: float
    seed: int
    iterations: int

    def run(self) -> Outcome:
        """Curves of the distance from the optimum in both precisions (the float32 weights' loss is
        evaluated in float32 as well, as the framework would print it)."""
        problem = ProblemSpec("ethanol", self.p).build()
        run = Run(self.depth, start=STARTS[self.start], rate=self.rate, seed=self.seed)
        single, double = (
            train(problem, [run], self.iterations, dtype=kind)[0]
            for kind in (np.float32, np.float64)
        )
        kept = min(len(single.loss), len(double.loss))
        optimum = problem.optimum().loss
        ratio = (single.loss[:kept] - optimum) / (double.loss[:kept] - optimum)
        return Outcome(
            {"single": single.status, "double": double.status},
            {"iteration": single.iteration[:kept].astype(float), "dex": np.log10(np.abs(ratio))},
            {},
        )


@dataclass(frozen=True)
class EscapeTime(Task):
    """Rate × iterations in which a near-zero network of width 1 leaves the saddle: see `saddle`."""

    task, names = "EscapeTime", ("p", "depth", "seed")

    p: float
    depth: int
    seed: int

    def run(self) -> Outcome:
        """The time for ethanol with standard deviation 0.01."""
        problem = ProblemSpec("ethanol", self.p).build()
        (time_,) = flow_times(problem, self.depth, NearZero(0.01), [self.seed])
        return Outcome({"time": float(time_)}, {}, {})


@dataclass(frozen=True)
class Excursion(Task):
    """Whether a near-zero network of width 1 is away from the saddle, looked at after every
    iteration: a run may leave and be thrown back between two points of its curve."""

    task, names = "Excursion", ("p", "depth", "rate", "seed", "iterations")

    p: float
    depth: int
    rate: float
    seed: int
    iterations: int

    def run(self) -> Outcome:
        """First and last iteration of the first time away; null where there is none, and where the
        run is away when it ends."""
        problem = ProblemSpec("ethanol", self.p).build()
        run = Run(self.depth, start=NearZero(0.01), rate=self.rate, seed=self.seed)
        every = range(self.iterations + 1)
        (result,) = train(problem, [run], self.iterations, record_at=every)
        distance = result.loss - problem.optimum().loss
        away = np.flatnonzero(distance <= LEFT * distance[0])
        back = np.flatnonzero(distance[away[0] :] > LEFT * distance[0]) if away.size else away
        return Outcome(
            {
                "first": int(away[0]) if away.size else None,
                "last": int(away[0] + back[0] - 1) if back.size else None,
            },
            {},
            {},
        )


def _rows(tasks: Sequence[Task], group: str, look_up: bool = True) -> list[Row]:
    return list((compute(tasks, group) if look_up else fresh(tasks)).values())


def escape_times(
    p: float, depth: int, seeds: Sequence[int], look_up: bool = True
) -> dict[int, float]:
    """Seed → recorded `EscapeTime`."""
    rows = _rows([EscapeTime(p, depth, int(s)) for s in seeds], "saddle", look_up)
    return {seed: row.summary["time"] for seed, row in zip(seeds, rows, strict=True)}


def excursions() -> dict[tuple[float, int], tuple[int | None, int | None]]:
    """(rate, seed) → first and last iteration away from the saddle, by recorded `Excursion`."""
    rows = _rows([THROWN_BACK], "excursions")
    return {
        (row.spec["rate"], row.spec["seed"]): (row.summary["first"], row.summary["last"])
        for row in rows
    }


def precisions(runs: pd.DataFrame, seeds: Sequence[int] = range(5)) -> list[Precision]:
    """The tasks that put every tuned model of a run table beside itself in float32."""
    budget = int(runs.budget.iloc[0])
    return [
        Precision(float(m.p), int(m.depth), m.start, float(m.rate), int(seed), budget)
        for m in tune(runs).itertuples()
        for seed in seeds
    ]


def precision_table(tasks: Sequence[Precision], look_up: bool = True) -> pd.DataFrame:
    """One row per task: its fields, statuses, `iteration` and `dex` curves, `worst` |dex|."""
    rows = _rows(tasks, "precision", look_up)
    return pd.DataFrame(
        [
            {name: row.spec[name] for name in ("p", "depth", "start", "rate", "seed")}
            | {"single": row.summary["single"], "double": row.summary["double"]}
            | {"iteration": row.series["iteration"], "dex": row.series["dex"]}
            | {"worst": float(np.abs(row.series["dex"]).max())}
            for row in rows
        ]
    )


def _tuned() -> list[Precision]:
    from report.experiments import frame

    return precisions(frame("identity"))


def _first_iterations(task: Precision, row: Row) -> list:
    """The ratio of both distances as long as single precision's last digit stays its last."""
    now = replace(task, iterations=100).run().series
    kept = row.series
    _, ours, theirs = np.intersect1d(now["iteration"], kept["iteration"], return_indices=True)
    return [("single over double", 10 ** kept["dex"][theirs], 10 ** now["dex"][ours])]


# the one run of identity starts' near-zero networks that never leaves though it should
THROWN_BACK = Excursion(4.0, 4, 0.1, 4, 9_700)

EXPERIMENTS = (
    _identity("identity", 1),
    _tried_for_identity("identity_tried"),
    _identity("identity_wide", 128),
    Tasks(
        "saddle", lambda: [EscapeTime(4.0, depth, seed) for depth in (4, 8) for seed in range(5)]
    ),
    Tasks("excursions", lambda: [THROWN_BACK]),
    Tasks("precision", _tuned, part=_first_iterations),
)
