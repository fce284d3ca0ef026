"""Recorded results beside the experiments: single precision, the saddle, an iteration's cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accel_core.initializers import IdentityOffset, NearZero
from accel_core.intervals import median_interval
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from accel_core.statistics import tune
from accel_core.theory.escape import LEFT
from accel_core.theory.escape import escape_times as flow_times
from accel_core.training import Batch, Run, train
from report.compute import frame
from report.experiments import ADADELTA, ADAGRAD, ADAM, ProblemSpec
from report.replications.store import Outcome, Task, obtain

__all__ = ["EXPERIMENTS", "EscapeTime", "Excursion", "Precision", "Speed", "cost_table",
           "escape_times", "excursions", "precision_table", "precisions"]  # fmt: skip

STARTS = {repr(start): start for start in (NearZero(0.01), IdentityOffset(0.01))}
_RULES = (
    *(GradientDescent(), Momentum(), Momentum(nesterov=True), EndToEnd(2), EndToEnd(3)),
    *(ADAGRAD, ADADELTA, ADAM, AdaGrad(), AdaDelta(), Adam()),
)
RULES = {repr(rule): rule for rule in _RULES}
PLAIN = repr(GradientDescent())
# (depth, width, rule): every model whose cost a chapter tells
MODELS = (
    *((1, 1, rule) for rule in RULES),
    *((depth, width, PLAIN) for depth in (2, 3) for width in (1, 100)),
    *((depth, width, PLAIN) for depth in (4, 8) for width in (1, 128)),
    (3, 1, repr(ADAM)),
)


@dataclass(frozen=True)
class Precision(Task):
    """One ℓp run on ethanol in float32, its distance from the same run in float64."""

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
class Speed(Task):
    """What an iteration of a model costs beside one of a plain layer, ℓ4 on ethanol, one core."""

    depth: int
    width: int
    rule: str  # repr of the update rule
    iterations: int = 100
    repeats: int = 31

    def run(self) -> Outcome:
        """Multiplications of both; seconds of both, measured in turn, `repeats` times, for four
        models side by side (a register tile), each."""
        problem = ProblemSpec("ethanol", 4.0).build()

        def batch(*model) -> Batch:
            depth, width, rule = model
            tile = [Run(depth, width, rule=RULES[rule], rate=1e-5, seed=seed) for seed in range(4)]
            made = Batch(problem, tile)
            made.advance(5)  # compiled, and in the cache
            return made

        pair = batch(1, 1, PLAIN), batch(self.depth, self.width, self.rule)
        seconds = np.empty((2, self.repeats))
        for i in range(self.repeats):
            for each, made in enumerate(pair):
                began = time.perf_counter()
                made.advance(self.iterations)
                seconds[each, i] = (time.perf_counter() - began) / self.iterations / 4
        layer, model = (made.cost / 4 for made in pair)
        summary = {"layer_multiplications": layer, "multiplications": model}
        return Outcome(summary, {"layer_seconds": seconds[0], "seconds": seconds[1]}, {})


@dataclass(frozen=True)
class EscapeTime(Task):
    """Rate × iterations in which a near-zero network of width 1 leaves the saddle: see `saddle`."""

    p: float
    depth: int
    seed: int

    def run(self) -> Outcome:
        """The time for ethanol with standard deviation 0.01."""
        problem = ProblemSpec("ethanol", self.p).build()
        (time_,) = flow_times(problem, self.depth, NearZero(0.01), [self.seed])
        return Outcome({"time": float(time_)}, {}, {})


def escape_times(
    p: float, depth: int, seeds: Sequence[int], look_up: bool = True
) -> dict[int, float]:
    """Seed → recorded `EscapeTime`."""
    rows = obtain([EscapeTime(p, depth, int(s)) for s in seeds], "saddle", look_up=look_up)
    return {seed: row.summary["time"] for seed, row in zip(seeds, rows, strict=True)}


@dataclass(frozen=True)
class Excursion(Task):
    """Whether a near-zero network of width 1 is away from the saddle, looked at after every
    iteration: a run may leave and be thrown back between two points of its curve."""

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


def excursions() -> dict[tuple[float, int], tuple[int | None, int | None]]:
    """(rate, seed) → first and last iteration away from the saddle, by recorded `Excursion`."""
    rows = obtain(EXPERIMENTS["excursions"](), "excursions")
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


#: What `python -m report record` knows beside the experiments, by name: each makes its tasks.
EXPERIMENTS: dict[str, Callable[[], Sequence[Task]]] = {
    "speed": lambda: [Speed(*model) for model in MODELS],
    "saddle": lambda: [EscapeTime(4.0, depth, seed) for depth in (4, 8) for seed in range(5)],
    # the one run of identity starts' near-zero networks that never leaves though it should
    "excursions": lambda: [Excursion(4.0, 4, 0.1, 4, 9_700)],
    "precision": lambda: precisions(frame("identity")),
}


def precision_table(tasks: Sequence[Precision], look_up: bool = True) -> pd.DataFrame:
    """One row per task: its fields, statuses, `iteration` and `dex` curves, `worst` |dex|."""
    rows = obtain(tasks, "precision", look_up=look_up)
    return pd.DataFrame(
        [
            {name: row.spec[name] for name in ("p", "depth", "start", "rate", "seed")}
            | {"single": row.summary["single"], "double": row.summary["double"]}
            | {"iteration": row.series["iteration"], "dex": row.series["dex"]}
            | {"worst": float(np.abs(row.series["dex"]).max())}
            for row in rows
        ]
    )


def cost_table(models: Sequence[tuple[int, int, str]], look_up: bool = True) -> pd.DataFrame:
    """What an iteration costs, for (depth, width, repr of the rule), over one of a plain layer:
    `multiplications` and, as an `Estimate` (median and its interval over the repeats), `time`.

    Multiplications: two passes over the rows and four for each parameter; those of the update rule
    itself are not counted.
    """
    rows = obtain([Speed(*model) for model in models], "speed", look_up=look_up)
    return pd.DataFrame(
        [
            {name: row.spec[name] for name in ("depth", "width", "rule")}
            | {
                "multiplications": row.summary["multiplications"]
                / row.summary["layer_multiplications"],
                "time": median_interval(row.series["seconds"] / row.series["layer_seconds"]),
            }
            for row in rows
        ]
    )
