"""From run tables to comparisons: crossings, tuning, speed-ups.

A run table has one row per run (columns as written by `report.records`). Iterations are counts
of gradient steps, distances are loss − optimum in the units of the loss, ratios and shares are
pure numbers. Diverged and censored runs are never dropped: a criterion that a run does not meet is
+∞, and a ratio with such a run in it is kept as the pair of bounds that it is known to lie
between.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from accel_core.intervals import median_interval

# At the optimum the difference of two losses rounds to 0 or just below; it stays a positive
# distance.
TINY = float(np.finfo(float).tiny)
# What makes two runs runs of one model; they may differ in rate and seed only.
MODEL = ("problem", "p", "depth", "width", "bias", "start", "rule", "weight_decay", "budget")


class Crossing(NamedTuple):
    """First crossing of a target, and the two recorded iterations that enclose it."""

    iterations: float  # interpolated; +inf: never reached (censored)
    before: float
    after: float


def iterations_to(iteration: ArrayLike, distance: ArrayLike, target: float) -> Crossing:
    """Iterations until the distance is first at most `target`, log-log interpolated.

    Between iteration 0 and the next one the iteration itself is interpolated, log 0 being no
    number. A curve that never gets there is censored: (+inf, last recorded iteration, +inf).

    >>> iterations_to([0, 1, 10, 100], [4.0, 1.0, 0.1, 0.01], target=0.02).iterations.__round__(6)
    50.0
    """
    iteration, distance = _curve(iteration, distance)
    if not (target > 0 and math.isfinite(target)):
        raise ValueError(f"target = {target}: a target is a positive, finite distance")
    reached = np.flatnonzero(distance <= target)
    if not reached.size:
        return Crossing(math.inf, float(iteration[-1]), math.inf)
    after = int(reached[0])
    if after == 0:
        return Crossing(float(iteration[0]), float(iteration[0]), float(iteration[0]))
    start, end = iteration[after - 1], iteration[after]
    d0, d1 = _log(distance[after - 1 : after + 1])
    share = (d0 - math.log(target)) / (d0 - d1)
    crossing = (end / start) ** share * start if start > 0 else share * end
    return Crossing(float(crossing), float(start), float(end))


def distance_at(iteration: ArrayLike, distance: ArrayLike, at: ArrayLike) -> np.ndarray:
    """Distance at iterations `at` ≥ 1, log-log interpolated; +inf past the curve's end."""
    iteration, distance = _curve(iteration, distance)
    at = np.asarray(at, dtype=float)
    if np.any(at < 1):
        raise ValueError(f"iteration {at.min():g}: the log axis starts at iteration 1")
    positive = iteration > 0
    if not positive.any():
        return np.full(at.shape, math.inf)
    logs = np.interp(np.log(at), np.log(iteration[positive]), _log(distance[positive]))
    return np.where(at > iteration[-1], math.inf, np.exp(logs))


def deviation_dex(
    curve: tuple[ArrayLike, ArrayLike], reference: tuple[ArrayLike, ArrayLike], after: float = 1
) -> float:
    """Largest |log10(curve / reference)| on the reference's points from iteration `after` on.

    Both are (iteration, distance). +inf where the curve ends (diverges) before the reference does.

    >>> deviation_dex(([1, 10], [1.0, 0.1]), ([1, 10], [1.0, 0.2])).__round__(4)
    0.301
    """
    at, value = (np.asarray(column, dtype=float) for column in reference)
    kept = at >= max(after, 1)
    if not kept.any():
        raise ValueError(f"after = {after:g}: the reference ends at iteration {at.max():g}")
    return float(np.abs(np.log10(distance_at(*curve, at[kept]) / value[kept])).max())


def tune(frame: pd.DataFrame, *, target: float | None = None) -> pd.DataFrame:
    """One rate per model: the smallest median over starts of the criterion.

    The criterion is the distance at the budget, or the iterations to `target`; a diverged run
    counts as +inf, also where it met the target before. Equal medians are decided by the median
    final distance, then by the smaller rate. Columns beside the model's: rate, criterion (its
    median), by_start (seed → criterion at that rate), ties (other rates, same finite median), edge
    ('smallest' | 'largest' | 'only' rate of the grid, or ''), diverged and diverged_next_up
    (starts diverged at this rate and at the next larger one), start_rate and start_criterion (seed
    → the rate that is best for this start alone, and what it attains).

    >>> model = dict.fromkeys(MODEL, 1) | {"seed": 0, "status": "completed"}
    >>> runs = pd.DataFrame([model | {"rate": 0.1, "final": 5}, model | {"rate": 0.2, "final": 3}])
    >>> tune(runs)[["rate", "criterion", "edge"]].to_numpy().tolist()
    [[0.2, 3.0, 'largest']]
    """
    if frame.empty:
        raise ValueError("no runs to tune: the table is empty")
    reached = frame.status.eq("completed")
    final = frame.final.where(reached, math.inf)
    if target is None:
        criterion = final.clip(lower=TINY)
    else:
        crossings = [
            iterations_to(i, d, target).iterations if completed else math.inf
            for i, d, completed in zip(frame.iteration, frame.distance, reached, strict=True)
        ]
        criterion = pd.Series(crossings, index=frame.index, dtype=float)
    if criterion.isna().any():
        raise ValueError(f"{frame.key[criterion.isna()].tolist()}: the final distance is NaN")
    columns = frame.assign(criterion=criterion, final=final, diverged=~reached)
    return pd.DataFrame(
        [
            dict(zip(MODEL, model, strict=True)) | _tune_one(model, runs)
            for model, runs in columns.groupby(list(MODEL), dropna=False)
        ]
    )


def _tune_one(model: tuple, runs: pd.DataFrame) -> dict:
    rates, seeds, runs = _grid(model, runs)
    criterion, final, diverged = (
        runs[column].to_numpy().reshape(len(rates), len(seeds))
        for column in ("criterion", "final", "diverged")
    )
    median = np.median(criterion, axis=1)
    best = int(np.lexsort((rates, np.median(final, axis=1), median))[0])
    last = len(rates) - 1
    edges = {0: "smallest", last: "largest"} if last else {0: "only"}
    tied = (median == median[best]) & np.isfinite(median) & (rates != rates[best])
    diverged = diverged.sum(axis=1)
    return {
        "rate": float(rates[best]),
        "criterion": float(median[best]),
        "by_start": dict(zip(seeds, criterion[best].tolist(), strict=True)),
        "ties": tuple(rates[tied].tolist()),
        "edge": edges.get(best, ""),
        "diverged": int(diverged[best]),
        "diverged_next_up": int(diverged[best + 1]) if best < last else 0,
        "start_rate": dict(zip(seeds, rates[criterion.argmin(axis=0)].tolist(), strict=True)),
        "start_criterion": dict(zip(seeds, criterion.min(axis=0).tolist(), strict=True)),
    }


def speedup(
    frame: pd.DataFrame, *, baseline: Mapping[str, object], target: float, per_start: bool = False
) -> pd.DataFrame:
    """How many times fewer iterations than the baseline a model needs to reach `target`.

    Every model is tuned for this target (`per_start`: anew for each start) and compared with the
    baseline (`{'depth': 1}`: the column values that select it) start by start. `speedup` is the
    `median_interval` of these ratios. A run that has not reached the target within the budget,
    diverged ones included, has needed more than the budget: its ratio is kept as a bound.

    >>> run = dict.fromkeys(MODEL, 100) | {"seed": 0, "rate": 0.1, "final": 1}
    >>> run["status"] = "completed"
    >>> slow = run | {"depth": 1, "iteration": [1, 10, 100], "distance": [100.0, 10.0, 1.0]}
    >>> fast = run | {"depth": 2, "iteration": [1, 10, 100], "distance": [10.0, 2.0, 1.0]}
    >>> runs = pd.DataFrame([slow, fast])
    >>> print(speedup(runs, baseline={"depth": 1}, target=10.0).speedup[0])
    10 [10, 10]
    """
    return _compare(frame, baseline, target, per_start)


def gain_at_budget(
    frame: pd.DataFrame, *, baseline: Mapping[str, object], per_start: bool = False
) -> pd.DataFrame:
    """Ratio of distances left at the budget, baseline's over the model's; else like `speedup`."""
    return _compare(frame, baseline, None, per_start)


def speedups(
    frame: pd.DataFrame,
    *,
    baseline: Mapping[str, object],
    targets: Sequence[float],
    per_start: bool = False,
) -> pd.DataFrame:
    """Stack `speedup` for several targets; rows by target, then by model."""
    tables = [
        speedup(frame, baseline=baseline, target=target, per_start=per_start) for target in targets
    ]
    return pd.concat(tables, ignore_index=True)


def _compare(frame, baseline, target, per_start):
    for shared in ("problem", "p", "budget"):
        if frame[shared].nunique() > 1:
            raise ValueError(
                f"{shared} = {sorted(frame[shared].unique())}: models are compared on one; "
                "select it first"
            )
    tuned = tune(frame, target=target)
    unknown = set(baseline) - set(MODEL)
    if unknown or not baseline:
        raise ValueError(f"baseline names {sorted(unknown)}; allowed are {', '.join(MODEL)}")
    chosen = np.logical_and.reduce([tuned[name].eq(value) for name, value in baseline.items()])
    if np.sum(chosen) != 1:
        raise ValueError(
            f"baseline = {dict(baseline)} selects {np.sum(chosen)} of {len(tuned)} models: "
            "name exactly one"
        )
    values, rates = ("start_criterion", "start_rate") if per_start else ("by_start", "rate")
    base = tuned[chosen].iloc[0]
    # At the budget a diverged run has no distance; only then is +inf the value itself, not a bound.
    budget = math.inf if target is None else float(frame.budget.iloc[0])
    rows = []
    for _, model in tuned[~chosen].iterrows():
        if set(model[values]) != set(base[values]):
            raise ValueError(
                f"starts {sorted(model[values])} against the baseline's {sorted(base[values])}: "
                "comparisons are paired, run the same seeds"
            )
        pairs = [(base[values][seed], model[values][seed]) for seed in sorted(base[values])]
        if any(min(pair) == 0 for pair in pairs):
            raise ValueError(
                f"target = {target} is met at the start: choose one below the first distance"
            )
        bounds = [_ratio(of, to, budget) for of, to in pairs]
        rows.append(
            {name: model[name] for name in MODEL}
            | {
                "target": math.nan if target is None else target,
                "rate": model[rates],
                "baseline_rate": base[rates],
                "value": float(np.median([to for _, to in pairs])),
                "baseline_value": float(np.median([of for of, _ in pairs])),
                "speedup": median_interval(*zip(*bounds, strict=True)),
                "by_start": bounds,
                "censored": sum(math.isinf(to) for _, to in pairs),
                "baseline_censored": sum(math.isinf(of) for of, _ in pairs),
                "edge": model.edge,
                "baseline_edge": base.edge,
            }
        )
    table = pd.DataFrame(rows)
    return table.drop(columns="target") if target is None else table


def _ratio(of: float, to: float, budget: float) -> tuple[float, float]:
    """Bounds of of / to, either known or known only to exceed the budget."""
    low = 0.0 if math.isinf(to) else min(of, budget) / to
    high = math.inf if math.isinf(of) else of / min(to, budget)
    return low, high


def _grid(model: tuple, runs: pd.DataFrame) -> tuple[np.ndarray, list[int], pd.DataFrame]:
    """Rates, seeds, and the runs in this order; every start must have been run once per rate."""
    name = ", ".join(f"{key}={value}" for key, value in zip(MODEL, model, strict=True))
    rates, seeds = np.unique(runs.rate), np.unique(runs.seed).tolist()
    had = set(zip(runs.rate, runs.seed, strict=True))
    if len(runs) > len(had):
        raise ValueError(f"{name}: a rate and seed occurs twice; keep one of the runs")
    missing = [(rate, seed) for rate in rates.tolist() for seed in seeds if (rate, seed) not in had]
    if missing:
        raise ValueError(f"{name}: not run, (rate, seed) = {missing}; run or leave out the rate")
    return rates, seeds, runs.sort_values(["rate", "seed"])


def _curve(iteration: ArrayLike, distance: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    iteration, distance = (np.asarray(column, dtype=float) for column in (iteration, distance))
    if not 0 < distance.size <= iteration.size or not np.isfinite(distance).all():
        raise ValueError(
            f"{distance.size} distances on {iteration.size} iterations: a curve has at least one, "
            "no more than iterations, all finite (a diverged one ends before it diverges)"
        )
    return iteration[: distance.size], distance


def _log(distance: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(distance, TINY))
