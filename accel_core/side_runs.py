"""Recorded results beside the experiments: single precision, the saddle, an iteration's cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .experiments import ADADELTA, ADAGRAD, ADAM, ProblemSpec
from .initializers import IdentityOffset, NearZero
from .replications.store import Outcome, Task, obtain
from .rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from .saddle import escape_times as flow_times
from .training import Batch, Run, train

__all__ = ["EscapeTime", "Precision", "Speed", "cost_table", "escape_times", "precision_table"]

STARTS = {repr(start): start for start in (NearZero(0.01), IdentityOffset(0.01))}
_RULES = (
    *(GradientDescent(), Momentum(), Momentum(nesterov=True), EndToEnd(2), EndToEnd(3)),
    *(ADAGRAD, ADADELTA, ADAM, AdaGrad(), AdaDelta(), Adam()),
)
RULES = {repr(rule): rule for rule in _RULES}


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
    """Seconds and multiplications of an iteration of one model, ℓ4 on ethanol, on one core."""

    depth: int
    width: int
    rule: str  # repr of the update rule
    iterations: int = 200
    repeats: int = 9

    def run(self) -> Outcome:
        """The fastest of the repeats, for four models side by side (a register tile), each."""
        problem = ProblemSpec("ethanol", 4.0).build()
        runs = [
            Run(self.depth, self.width, rule=RULES[self.rule], rate=1e-5, seed=seed)
            for seed in range(4)
        ]
        batch = Batch(problem, runs)
        batch.advance(5)  # compiled, and in the cache
        seconds = []
        for _ in range(self.repeats):
            began = time.perf_counter()
            batch.advance(self.iterations)
            seconds.append((time.perf_counter() - began) / self.iterations / len(runs))
        summary = {"seconds": min(seconds), "multiplications": batch.cost / len(runs)}
        return Outcome(summary, {}, {})


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
    """Multiplications and microseconds of an iteration, for (depth, width, repr of the rule).

    Multiplications: two passes over the rows and four for each parameter; those of the update rule
    itself are not counted. Microseconds: measured once, on the machine named in the record.
    """
    rows = obtain([Speed(*model) for model in models], "speed", look_up=look_up)
    return pd.DataFrame(
        [
            {
                "depth": row.spec["depth"], "width": row.spec["width"], "rule": row.spec["rule"],
                "multiplications": row.summary["multiplications"],
                "microseconds": row.summary["seconds"] * 1e6,
            }
            for row in rows
        ]
    )  # fmt: skip
