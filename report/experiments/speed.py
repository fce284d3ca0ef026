"""What an iteration of each model costs beside one of a plain layer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accel_core.intervals import median_interval
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from accel_core.training import Batch, Run
from report import work
from report.compute import compute, fresh
from report.experiments.explicit import ADADELTA, ADAGRAD, ADAM
from report.experiments.problems import ProblemSpec
from report.experiments.tasks import Outcome, Task, Tasks

__all__ = ["EXPERIMENTS", "Speed", "cost_table"]

_RULES = (
    *(GradientDescent(), Momentum(), Momentum(nesterov=True), EndToEnd(2), EndToEnd(3)),
    *(ADAGRAD, ADADELTA, ADAM, AdaGrad(), AdaDelta(), Adam()),
)
RULES = {work.text(rule): rule for rule in _RULES}
PLAIN = work.text(GradientDescent())
# (depth, width, rule): every model whose cost a chapter tells
MODELS = (
    *((1, 1, rule) for rule in RULES),
    *((depth, width, PLAIN) for depth in (2, 3) for width in (1, 100)),
    *((depth, width, PLAIN) for depth in (4, 8) for width in (1, 128)),
    (3, 1, work.text(ADAM)),
)


@dataclass(frozen=True)
class Speed(Task):
    """What an iteration of a model costs beside one of a plain layer, ℓ4 on ethanol, one core."""

    task, names = "Speed", ("depth", "width", "rule", "iterations", "repeats")

    depth: int
    width: int
    rule: str  # repr of the update rule
    iterations: int = 100
    repeats: int = 31

    def _pair(self) -> tuple[Batch, Batch]:
        """A plain layer and the model, four of each."""
        problem = ProblemSpec("ethanol", 4.0).build()

        def batch(depth: int, width: int, rule: str) -> Batch:
            tile = [Run(depth, width, rule=RULES[rule], rate=1e-5, seed=seed) for seed in range(4)]
            return Batch(problem, tile)

        return batch(1, 1, PLAIN), batch(self.depth, self.width, self.rule)

    def costs(self) -> dict[str, float]:
        """Multiplications of an iteration of either."""
        layer, model = (made.cost / 4 for made in self._pair())
        return {"layer_multiplications": layer, "multiplications": model}

    def run(self) -> Outcome:
        """Multiplications of both; seconds of both, measured in turn, `repeats` times, for four
        models side by side (a register tile), each."""
        pair = self._pair()
        for made in pair:
            made.advance(5)  # compiled, and in the cache
        seconds = np.empty((2, self.repeats))
        for i in range(self.repeats):
            for each, made in enumerate(pair):
                began = time.perf_counter()
                made.advance(self.iterations)
                seconds[each, i] = (time.perf_counter() - began) / self.iterations / 4
        return Outcome(self.costs(), {"layer_seconds": seconds[0], "seconds": seconds[1]}, {})


def cost_table(models: Sequence[tuple[int, int, str]], look_up: bool = True) -> pd.DataFrame:
    """What an iteration costs, for (depth, width, repr of the rule), over one of a plain layer:
    `multiplications` and, as an `Estimate` (median and its interval over the repeats), `time`.

    Multiplications: two passes over the rows and four for each parameter; those of the update rule
    itself are not counted.
    """
    tasks = [Speed(*model) for model in models]
    rows = (compute(tasks, "speed") if look_up else fresh(tasks)).values()
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


def _counted(task: Speed, row) -> list:
    """The multiplications; seconds are measured, and differ from one time to the next."""
    summary = task.costs()
    return [(n, np.array([row.summary[n]]), np.array([summary[n]])) for n in summary]


EXPERIMENTS = (Tasks("speed", lambda: [Speed(*model) for model in MODELS], part=_counted),)
