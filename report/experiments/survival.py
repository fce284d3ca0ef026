"""Which starts survive which rate: hundreds of near-zero starts through the first iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from accel_core.engine.batch import Batch
from accel_core.training import Run
from report.experiments.problems import ProblemSpec
from report.experiments.tasks import Outcome, Task, Tasks
from report.record import Row

__all__ = ["EXPERIMENTS", "Survival", "survival_table"]

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


# Twelve rates a decade around one layer's limit. A deeper network's fate is not decided in a
# thousand iterations: the recorded runs diverge when their effective rate meets the limit, after
# 100,000 and more.
AROUND = {(4.0, 1): grid(3.16e-4, 3.16e-3, 12), (2.0, 1): grid(1e-2, 3.16e-2, 12)}


def survival() -> list[Survival]:
    """Every rate of `AROUND`, ℓ4 first."""
    return [Survival(p, depth, rate) for (p, depth), rates in AROUND.items() for rate in rates]


def survival_table(rows: Sequence) -> pd.DataFrame:
    """A row a loss, depth and rate: `share` that lived, `low` and `high` of its 95 % interval
    (Clopper and Pearson), `median_left`, the median iteration at which the others diverged."""
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


def _first(task: Survival, row: Row, starts: int = 16) -> list:
    """Its first few starts."""
    left = replace(task, starts=starts).run().arrays["diverged_at"]
    return [("diverged_at", row.arrays["diverged_at"][:starts], left)]


EXPERIMENTS = (Tasks("survival", survival, (("survival", survival_table),), _first),)
