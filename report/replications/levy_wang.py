"""Levy & Wang's experiments (report of 2024) as they ran them, one `Draw` for each of their curves.

The protocol: a table standardised as a whole, four fifths of it trained on, mean squared error (or
|residual|^p), full batch, networks with biases, float32, the same start for every rate of the grid,
the loss recorded before each of 100 steps, the rate with the lowest last training loss. The report
draws everything once and sets no seed; here starts are numbered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accel_core import datasets
from accel_core.initializers import Initializer, NearZero, SemiOrthogonal, TorchDefault
from accel_core.models import Architecture
from accel_core.problem import Problem
from accel_core.rules import Adam, GradientDescent
from accel_core.training import Batch, Run
from report.experiments.tasks import Outcome, Task
from report.record import Row

__all__ = ["ARCHITECTURES", "GRID", "POINTS", "SEEDS", "STARTS", "Draw", "draws", "parts", "table"]

Array = NDArray[np.float64]

#: (depth, hidden width): [], [1], [10], [64], [1, 1], [10, 10], [64, 64]
ARCHITECTURES = ((1, 1), (2, 1), (2, 10), (2, 64), (3, 1), (3, 10), (3, 64))
#: The report's grid of learning rates.
GRID = (1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2)
#: Grids that end where the paper's does: the report's continued, and one without its gaps.
GRIDS = {
    "raised": (*GRID, 5e-2, 1e-1, 5e-1),
    "fine": (1e-3, 2e-3, 5e-3, 7e-3, 1e-2, 1.3e-2, 1.6e-2, 2e-2, 2.5e-2, 3e-2, 4e-2, 5e-2, 7e-2,
             1e-1, 1.3e-1, 1.6e-1, 2e-1, 2.5e-1, 3e-1, 5e-1),
}  # fmt: skip
#: The report's starts, by its names for them.
STARTS: dict[str, Initializer] = {
    "default": TorchDefault(),
    "near_zero": NearZero(0.02),
    "near_identity": SemiOrthogonal(),
}
RULES = {"SGD": GradientDescent(), "Adam": Adam()}
#: How many draws there are of each kind.
SEEDS = 100
STEPS = 100  # gradient steps; the last loss that the report sees is the one before the last step
#: Steps at which losses are kept.
POINTS = np.array([0, 1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 80, STEPS - 1])
REPORT_SPLIT = 0


def demand(task: Task, **allowed: Iterable) -> None:
    """Raises `ValueError` where a task's field has a value that is not allowed."""
    for name, choices in allowed.items():
        if (value := getattr(task, name)) not in choices:
            raise ValueError(f"{name} = {value!r}: allowed are {', '.join(map(str, choices))}")


@dataclass(frozen=True)
class Draw(Task):
    """One draw: the seven networks from one start each, at every rate of the grid.

    `seed` numbers the start, `split` the division of the rows: 0 is the report's (scikit-learn's
    shuffle 42, on Abalone row for row, on ethanol with the rows in our order), others are drawn.
    """

    task, names = "Draw", ("dataset", "start", "rule", "seed", "split", "p", "activation")

    dataset: str
    start: str = "default"
    rule: str = "SGD"
    seed: int = 0
    split: int = REPORT_SPLIT
    p: float = 2.0
    activation: str = "linear"

    def __post_init__(self):
        allowed = {"dataset": ("ethanol", "abalone"), "start": STARTS, "rule": RULES,
                   "activation": ("linear", "relu")}  # fmt: skip
        demand(self, **allowed)
        if self.activation == "relu" and (self.p, self.rule) != (2.0, "SGD"):
            raise ValueError("ReLU networks are trained with p = 2 and SGD only, as in the report")

    @property
    def rates(self) -> tuple[float, ...]:
        """The report's grid for this draw."""
        special = (5e-2,) if self.start != "default" else ()
        return (
            GRID + special + ((1e-1,) if (self.rule, self.dataset) == ("Adam", "abalone") else ())
        )

    def runs(self) -> list[Run]:
        """The linear networks, architecture by architecture, each with all rates."""
        return [
            Run(depth, width, True, STARTS[self.start], self.seed, RULES[self.rule], rate)
            for depth, width in ARCHITECTURES
            for rate in self.rates
        ]

    def run(self) -> Outcome:
        """Trains all networks and picks the best rate of each."""
        problem, held = parts(self.dataset, self.split, self.p)
        losses, held_out = _relu(self, problem, held) if self.activation == "relu" else _linear(
            self, problem, held
        )  # fmt: skip
        last = losses[:, :, STEPS - 1]
        best = np.argmin(last, axis=1)
        chosen = losses[np.arange(len(best)), best, :STEPS]
        chosen_held = held_out[np.arange(len(best)), best]
        arrays = {
            "final": last, "held_out": held_out[:, :, -1],
            "rise": _rise(chosen), "held_out_ratio": _at_equal_loss(chosen[:, POINTS], chosen_held),
        }  # fmt: skip
        series = {}
        if self.split == REPORT_SPLIT:
            series["iteration"] = POINTS
            for i, a in enumerate(ARCHITECTURES):
                series[f"loss {a}"], series[f"held-out {a}"] = chosen[i, POINTS], chosen_held[i]
        n, d = problem.X.shape
        summary = {"rows": n + len(held.X), "features": d, "training_rows": n}
        return Outcome(summary, series, arrays)


@dataclass(frozen=True)
class Raised(Draw):
    """The same draw with nothing changed but the grid: `GRIDS` names where it ends, how fine it is.

    Gradient descent on the report's split.
    """

    task, names = "Raised", (*Draw.names, "grid")
    grid: str = "raised"

    @property
    def rates(self) -> tuple[float, ...]:
        """The grid of that name."""
        return GRIDS[self.grid]


def raised(seeds: int = SEEDS) -> list[Raised]:
    """Every start on the raised grid, PyTorch's on the fine one, too."""
    grids = [*product(STARTS, ["raised"]), ("default", "fine")]
    return [
        Raised(dataset, start, seed=seed, grid=grid)
        for dataset, (start, grid), seed in product(("ethanol", "abalone"), grids, range(seeds))
    ]


def draws(seeds: int = SEEDS) -> list[Draw]:
    """All draws of the replication: both splits; the side experiments on the report's split."""
    numbers, both = range(seeds), ("ethanol", "abalone")
    main = [
        Draw(d, start, rule, seed, split)
        for d in both
        for start in STARTS
        for rule in (RULES if start == "near_identity" else ("SGD",))  # as in the report
        for seed in numbers
        for split in (REPORT_SPLIT, seed + 1)
    ]
    one_start = [Draw(d, seed=0, split=seed + 1) for d in both for seed in numbers if seed]
    lp = [Draw("abalone", seed=seed, p=p) for p in (3.0, 4.0, 5.0) for seed in numbers]
    relu = [Draw("ethanol", seed=seed, activation="relu") for seed in numbers]
    return main + one_start + lp + relu


@lru_cache(maxsize=4)
def parts(dataset: str, split: int, p: float = 2.0) -> tuple[Problem, Problem]:
    """The rows trained on and those held out, standardised by the whole table's moments."""
    X, y = datasets.load(dataset).standardized()
    n, held = len(y), -(-len(y) // 5)
    if split == REPORT_SPLIT:
        order = np.random.RandomState(42).permutation(n)  # what the report's split is made of
    else:
        order = np.random.default_rng([split, 1]).permutation(n)
    out, within = order[:held], order[held:]
    return Problem(X[within], y[within], p), Problem(X[out], y[out], p)


def _linear(draw: Draw, problem: Problem, held: Problem) -> tuple[Array, Array]:
    """Training losses (architectures, rates, STEPS + 1), those held out at `POINTS`."""
    batch = Batch(problem, draw.runs(), np.float32)
    runs = len(batch.runs)
    ends = np.full((STEPS + 1, runs, problem.d + 1), np.inf)
    for t in range(STEPS + 1):
        if t:
            batch.advance(1)
        alive, W = batch.end_to_end()
        ends[t, alive] = batch.data.original(W)
    shape = (len(ARCHITECTURES), len(draw.rates), -1)
    return _losses(problem, ends).T.reshape(shape), _losses(held, ends[POINTS]).T.reshape(shape)


def _losses(problem: Problem, ends: Array) -> Array:
    """Losses (…,) of end-to-end rows with bias (…, d + 1), in float64; inf where a row is not."""
    flat = ends.reshape(-1, ends.shape[-1])
    finite = np.isfinite(flat).all(axis=1)
    W, loss = flat[finite], np.full(len(flat), np.inf)
    if problem.p == 2:
        m, optimum = problem.moments.with_bias(), problem.optimum(bias=True)
        gap = W - optimum.end_to_end
        loss[finite] = optimum.loss + np.sum(gap @ m.xx * gap, axis=1)
    else:
        X = np.hstack([problem.X, np.ones((len(problem.X), 1))])
        pieces = np.array_split(W, max(1, len(W) // 64))
        loss[finite] = np.concatenate(
            [np.mean(np.abs(X @ W.T - problem.y) ** problem.p, axis=0) for W in pieces]
        )
    return loss.reshape(ends.shape[:-1])


def _relu(draw: Draw, problem: Problem, held: Problem) -> tuple[Array, Array]:
    from report.replications.relu import train_relu  # only now: it loads torch

    training, held_out = [], []
    for depth, width in ARCHITECTURES:
        shape = Architecture(depth, width, bias=True)
        start = shape.start(STARTS[draw.start], draw.seed, problem.d)
        found = train_relu(problem.X, problem.y, (held.X, held.y), shape, start, draw.rates, STEPS)
        training.append(found[0])
        held_out.append(found[1][:, POINTS])
    return np.array(training), np.array(held_out)


def _rise(curves: Array) -> Array:
    """Largest factor by which each curve (…, T) climbs above its lowest value so far."""
    return np.max(curves / np.minimum.accumulate(curves, axis=-1), axis=-1)


def _at_equal_loss(losses: Array, held_out: Array) -> Array:
    """Held-out loss of each network over the first one's, where both have the same training loss:
    the higher of the two last ones. Log-linear between recorded points."""

    def held_at(i: int, level: float) -> float:
        below = np.flatnonzero(losses[i] <= level)
        j = int(below[0]) if below.size else len(losses[i]) - 1
        if j == 0:
            return held_out[i, 0]
        a, b = np.log(losses[i, j - 1 : j + 1])
        share = (a - np.log(level)) / (a - b)
        return float(
            np.exp((1 - share) * np.log(held_out[i, j - 1]) + share * np.log(held_out[i, j]))
        )

    levels = np.maximum(losses[:, -1], losses[0, -1])
    return np.array([held_at(i, level) / held_at(0, level) for i, level in enumerate(levels)])


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """One row per curve, as `claims.draws` reads it; beside that `held_out_rate` and
    `held_out_choice`: rate and training loss of the network whose held-out loss is lowest.

    `split` is 'report', 'drawn' (start and rows drawn anew) or 'rows' (only the rows: start 0).
    """
    found = []
    for row in rows:
        spec = row.spec
        rates = GRIDS[spec["grid"]] if "grid" in spec else Draw(**_fields(spec)).rates
        final, held = (row.arrays[n].reshape(-1, len(rates)) for n in ("final", "held_out"))
        kind = "report" if spec["split"] == REPORT_SPLIT else (
            "drawn" if spec["split"] == spec["seed"] + 1 else "rows"
        )  # fmt: skip
        for i, (depth, width) in enumerate(ARCHITECTURES):
            best, best_held = int(np.argmin(final[i])), int(np.argmin(held[i]))
            found.append(
                {n: spec[n] for n in ("dataset", "p", "activation", "start", "rule", "seed")}
                | {
                    "key": row.key, "grid": spec.get("grid", "report"), "split": kind,
                    "rows_split": spec["split"], "depth": depth, "width": width,
                    "rate": rates[best], "rates": rates, "final": final[i, best],
                    "held_out": held[i, best], "by_rate": final[i],
                    "held_out_rate": rates[best_held], "held_out_choice": final[i, best_held],
                    "rise": row.arrays["rise"][i],
                    "held_out_ratio": row.arrays["held_out_ratio"][i], **row.summary,
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def _fields(spec: dict) -> dict:
    return {name: spec[name] for name in Draw.__dataclass_fields__}
