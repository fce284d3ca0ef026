"""From Levy & Wang's setting to the paper's, one factor at a time, and all factors crossed.

A `Cell` is what has to be trained for a setting: depths 1, 2, 3 at every rate, from one start. The
budget and the grid's upper end need no training of their own: a shorter budget is the beginning
of the curve, a lower end a part of the rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accel_core.curves import distance_at
from accel_core.initializers import IdentityOffset, Initializer, NearZero, TorchDefault
from accel_core.intervals import median_interval
from accel_core.problem import Problem
from accel_core.statistics import gain_at_budget, speedup, tune
from accel_core.training import Run, record_points, train
from report.experiments import ProblemSpec, frame
from report.experiments.tasks import Outcome, Task
from report.record import Row
from report.replications.levy_wang import demand, parts

__all__ = ["FLOOR", "LEVY_WANG", "ORDERS", "PAPER", "RATES", "SEEDS", "Cell", "Setting", "cells",
           "compare", "curves", "factorial", "run_tables", "settings", "small",
           "walked"]  # fmt: skip


#: The paper's grid without its two lowest rates: those are below the best one at every budget here.
RATES = (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1, 5e-1)
STARTS: dict[str, Initializer] = {
    "default": TorchDefault(), "near_zero": NearZero(0.01), "identity": IdentityOffset(0.01)
}  # fmt: skip
DEPTHS = (1, 2, 3)
SEEDS = 5  #: the range of five values covers their median in 15 of 16 cases
FRACTION = 0.4  # of the budget: the target is where the tuned single layer is by then
PER_DECADE = 15
FACTORS = ("dataset", "p", "start", "bias", "width")  # crossed in the factorial
BUDGETS, UPPERS = (100, 1_000, 10_000), (1e-2, 5e-1)  # and these
FLOAT = {"float32": np.float32, "float64": np.float64}
#: Distances below this multiple of the optimum's loss are round-off in single precision: a distance
#: is the difference of two losses.
FLOOR = 8 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Cell(Task):
    """All networks of a setting from one start; `share` of the rows is trained on."""

    task = "Cell"
    names = ("dataset", "p", "start", "bias", "width", "share", "precision", "iterations", "seed")

    dataset: str
    p: float
    start: str
    bias: bool
    width: int
    share: float
    precision: str
    iterations: int
    seed: int = 0

    def __post_init__(self):
        demand(self, start=STARTS, precision=FLOAT, share=(0.8, 1.0))

    def problem(self) -> Problem:
        """The rows trained on: all, or the four fifths that the seed's split gives."""
        if self.share < 1:
            return parts(self.dataset, self.seed + 1, self.p)[0]
        return ProblemSpec(self.dataset, self.p).build()

    def runs(self) -> list[Run]:
        """Depth by depth, each with all rates."""
        start = STARTS[self.start]
        return [
            Run(depth, self.width if depth > 1 else 1, self.bias, start, self.seed, rate=rate)
            for depth in DEPTHS
            for rate in RATES
        ]

    def run(self) -> Outcome:
        """The curves of all runs."""
        points = record_points(self.iterations, PER_DECADE)
        return curves(self.problem(), self.runs(), points, FLOAT[self.precision])


def curves(problem: Problem, runs: list[Run], points: NDArray, dtype: type = np.float64) -> Outcome:
    """Distances (loss − optimum) of all runs at the points; NaN where one has left."""
    results = train(problem, runs, int(points[-1]), record_at=points, dtype=dtype)
    optimum = problem.optimum(runs[0].bias)
    distance = np.full((len(results), len(points)), np.nan)
    for i, result in enumerate(results):
        distance[i, : len(result.loss)] = result.loss - optimum.loss
    left = [result.diverged_at for result in results]
    summary = {"optimum": optimum.loss, "gradient_norm": optimum.gradient_norm,
               "diverged_at": left}  # fmt: skip
    return Outcome(summary, {"iteration": points}, {"distance": distance})


@dataclass(frozen=True)
class Setting:
    """A point between the two protocols."""

    p: float = 2.0
    budget: int = 100
    upper: float = 1e-2
    start: str = "default"
    bias: bool = True
    width: int = 10
    share: float = 0.8
    precision: str = "float32"
    dataset: str = "ethanol"

    def cell(self, iterations: int, seed: int = 0) -> Cell:
        """What to train for it, long enough for `iterations`."""
        kept = {k: v for k, v in asdict(self).items() if k not in ("budget", "upper")}
        return Cell(**kept, iterations=iterations, seed=seed)


#: The replication's setting.
LEVY_WANG = Setting()
#: The paper's setting.
PAPER = Setting(4.0, 1_000_000, 5e-1, "near_zero", False, 1, 1.0, "float64")
MEDIUM, LONG, PAPERS = 10_000, 100_000, 1_000_000  # budgets on the way; ℓ4 is trained to MEDIUM
SMALL = 100  # iterations and budget of the profile `smoke`

_LOSS, _UPPER, _START = ("ℓ4", "p", 4.0), ("rates to 0.5", "upper", 5e-1), (
    "start near zero", "start", "near_zero")  # fmt: skip
_BIAS, _WIDTH = ("no biases", "bias", False), ("width 1", "width", 1)
_SHARE, _PRECISION = ("all rows", "share", 1.0), ("double precision", "precision", "float64")
_MEDIUM, _LONG, _PAPERS = ((f"{n:,} iterations", "budget", n) for n in (MEDIUM, LONG, PAPERS))
#: The orders in which the one setting is changed into the other: (words, factor, value).
ORDERS: dict[str, list[tuple[str, str, object]]] = {
    "rates first, loss last": [
        _UPPER, _MEDIUM, _SHARE, _BIAS, _START, _WIDTH, _PRECISION, _PAPERS, _LOSS
    ],
    "details first, loss last": [
        _SHARE, _WIDTH, _BIAS, _START, _PRECISION, _UPPER, _MEDIUM, _PAPERS, _LOSS
    ],
    "loss first, long budget last": [
        _LOSS, _MEDIUM, _UPPER, _SHARE, _START, _BIAS, _WIDTH, _PRECISION, _PAPERS
    ],
    "budget first, loss last": [
        _MEDIUM, _LONG, _UPPER, _SHARE, _BIAS, _START, _WIDTH, _PRECISION, _PAPERS, _LOSS
    ],
}  # fmt: skip


def settings(order: str) -> list[tuple[str, Setting]]:
    """(what changed, setting) along an order, from Levy & Wang's protocol to the paper's."""
    found = [("their protocol", LEVY_WANG)]
    for words, factor, value in ORDERS[order]:
        found.append((words, replace(found[-1][1], **{factor: value})))
    return found


def factorial(dataset: str = "ethanol") -> list[Cell]:
    """Loss × start × bias × width, on all rows in float32 (the walks show what precision does).

    At ℓ4 the paper's other start and the report's widest layer stand beside them, for two claims.
    """
    base = replace(PAPER, dataset=dataset, precision="float32")
    levels = product((2.0, 4.0), ("default", "near_zero"), (False, True), (1, 10))
    crossed = [
        replace(base, p=p, start=start, bias=bias, width=width) for p, start, bias, width in levels
    ]
    if dataset == "ethanol":
        crossed += [replace(base, start="identity"), replace(base, width=64)]
    return [setting.cell(MEDIUM, seed) for setting in crossed for seed in range(SEEDS)]


def cells() -> list[Cell]:
    """All that is trained, each once: the walks' settings and the factorials."""
    on_the_way = [
        setting.cell(max(setting.budget, MEDIUM), seed)
        for order in ORDERS
        for _, setting in settings(order)
        if setting.budget != PAPERS  # the paper's corners: `tuned_rates` has them
        for seed in range(SEEDS)
    ]
    return list(dict.fromkeys([*on_the_way, *factorial("ethanol"), *factorial("abalone")]))


def small() -> list[Cell]:
    """The first walk in small, from two starts."""
    way = [s for _, s in settings(next(iter(ORDERS))) if s.budget != PAPERS]
    return list(dict.fromkeys(s.cell(SMALL, seed) for s in way for seed in range(2)))


def run_tables(rows: Sequence[Row], task: type[Task] = Cell, least: float = 0.0) -> pd.DataFrame:
    """The run table of `accel_core.statistics`: one row per network, rate and start.

    `task` says what the rows were made by: it has `runs()` in the order of the curves. Distances
    count as no less than `least` times the optimum's loss.
    """
    found = []
    for row in rows:
        points = row.series["iteration"].astype(int)
        fields = {name: row.spec[name] for name in task.__dataclass_fields__}
        distance = row.arrays["distance"].reshape(-1, len(points))
        all_curves = zip(task(**fields).runs(), distance, row.summary["diverged_at"], strict=True)
        for run, curve, left in all_curves:
            curve = np.maximum(curve, least * row.summary["optimum"])  # NaN, one that left, stays
            lived = np.isfinite(curve)
            found.append(
                fields
                | {
                    "key": row.key, "problem": fields["dataset"], "depth": run.depth,
                    "width": run.width, "bias": run.bias, "rule": repr(run.rule),
                    "rate": run.rate, "weight_decay": run.weight_decay,
                    "budget": int(points[-1]), "status": "diverged" if left else "completed",
                    "diverged_at": left, "iteration": points[lived],
                    "distance": curve[lived], "final": np.inf if left else curve[-1],
                }
            )  # fmt: skip
    return pd.DataFrame(found).astype({"diverged_at": "Int64"})


def compare(runs: pd.DataFrame, budget: int, upper: float) -> pd.DataFrame:
    """Depth 2 and 3 against depth 1 within one cell, at a budget and an upper end of the grid.

    `runs`: the run table of one cell (all starts). Columns: budget, upper, depth, seed, low and
    high (bounds of the speed-up of this start), gain (ratio of distances at the budget), own_gain
    (the same with every start at its own best rate: never infinite), and for each depth its tuned
    rate and whether that is an end of the grid.
    """
    frame = _shortened(runs[runs.rate <= upper], budget)
    layer = frame[frame.depth == 1]
    chosen = layer[layer.rate == tune(layer).rate.item()]
    at = [distance_at(r.iteration, r.distance, FRACTION * budget) for r in chosen.itertuples()]
    fast = speedup(frame, baseline={"depth": 1}, target=float(np.median(at))).set_index("depth")
    left = gain_at_budget(frame, baseline={"depth": 1}).set_index("depth")
    own = gain_at_budget(frame, baseline={"depth": 1}, per_start=True).set_index("depth")
    seeds = sorted(frame.seed.unique())
    return pd.DataFrame(
        {
            "budget": budget, "upper": upper, "depth": depth, "seed": seed,
            "low": fast.by_start[depth][i][0], "high": fast.by_start[depth][i][1],
            "gain": left.by_start[depth][i][0], "own_gain": own.by_start[depth][i][0],
            "rate": fast.rate[depth], "single_rate": fast.baseline_rate[depth],
            "edge": fast.edge[depth], "single_edge": fast.baseline_edge[depth],
        }
        for depth in fast.index
        for i, seed in enumerate(seeds)
    )  # fmt: skip


def _shortened(runs: pd.DataFrame, budget: int) -> pd.DataFrame:
    """The runs as if they had ended at `budget`, a recorded iteration or beside one."""
    left = runs.diverged_at.astype("Int64")
    gone = left.le(budget).fillna(False).astype(bool)
    kept = [iteration <= budget for iteration in runs.iteration]
    cut = {name: [values[k] for values, k in zip(runs[name], kept, strict=True)]
           for name in ("iteration", "distance")}  # fmt: skip
    for lost, own, iteration in zip(gone, cut["iteration"], runs.iteration, strict=True):
        if not lost and own[-1] != budget:
            raise ValueError(
                f"budget = {budget}: the curves are not recorded there; take one of "
                f"{iteration.tolist()}"
            )
    ends = [np.inf if lost else d[-1] for lost, d in zip(gone, cut["distance"], strict=True)]
    status = np.where(gone, "diverged", "completed")
    left = left.where(gone)
    return runs.assign(budget=budget, status=status, diverged_at=left, final=ends, **cut)


def factorial_table(rows: Sequence[Row], least: float = 0.0) -> pd.DataFrame:
    """`compare` for every cell of the factorials, budget and upper end.

    One row per depth and start. Columns beside those of `compare`: dataset, p, start, bias, width.
    """
    wanted = {cell.key for name in ("ethanol", "abalone") for cell in factorial(name)}
    cells_of: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.key in wanted:
            cells_of.setdefault(tuple(row.spec[n] for n in FACTORS), []).append(row)
    found = []
    for cell, members in cells_of.items():
        runs, factors = run_tables(members, least=least), dict(zip(FACTORS, cell, strict=True))
        found += [compare(runs, b, upper).assign(**factors) for b in BUDGETS for upper in UPPERS]
    return pd.concat(found, ignore_index=True)


def walked(rows: Sequence[Row], order: str, budget: int | None = None) -> pd.DataFrame:
    """One row per step of an order and depth: order, step, what (changed), speedup and gain
    (`Estimate` over the starts), the tuned rates, and `edge` where one is an end of its grid.

    `gain` is the single layer's distance over the network's at the budget. The paper's own corner
    (10⁶ iterations) is taken from the record of the tuned rates. With a `budget` every setting has
    that one, and the paper's corner is left out.
    """
    by_key, table = {row.key: row for row in rows}, []
    for step, (what, setting) in enumerate(settings(order)):
        if budget and setting.budget == PAPERS:
            continue
        if setting.budget == PAPERS:
            tuned = frame("tuned_rates")
            runs, at = tuned[tuned.p == setting.p], PAPERS
        else:
            at, trained = budget or setting.budget, budget or max(setting.budget, MEDIUM)
            keys = (setting.cell(trained, seed).key for seed in range(SEEDS))
            runs = run_tables([by_key[key] for key in keys if key in by_key])
        for depth, cell in compare(runs, at, setting.upper).groupby("depth"):
            table.append(
                {"order": order, "step": step, "what": what, "depth": depth}
                | {"speedup": median_interval(cell.low, cell.high)}
                | {"gain": median_interval(cell.gain), "keys": tuple(runs.key.unique())}
                | cell.iloc[0][["rate", "single_rate", "edge", "single_edge"]].to_dict()
            )
    return pd.DataFrame(table)
