"""From run tables to comparisons: crossings, tuning, speed-ups.

A run table has one row per run: see `run_table` for its columns. Iterations are counts of gradient
steps, distances are loss − optimum in the units of the loss, ratios and shares are pure numbers.
A distance below the table's `floor` (what rounding leaves of a distance of zero) counts as the
floor: what has got that far is at the optimum, and ties with everything else that has. Diverged and
censored runs are never dropped: a criterion that a run does not meet is +∞, and a ratio with such a
run in it is kept as the pair of bounds that it is known to lie between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from accel_core.curves import TINY, Crossing, iterations_to
from accel_core.intervals import median_interval

if TYPE_CHECKING:
    from accel_core.problem import Problem
    from accel_core.training import Result

#: What makes two runs runs of one model; they may differ in rate and seed only.
MODEL = ("problem", "p", "depth", "width", "bias", "start", "rule", "weight_decay", "budget")
#: … and these, in tables that have such columns.
MORE = ("schedule", "clip")


def run_table(problem: Problem, results: Sequence[Result], name: str = "problem") -> pd.DataFrame:
    """The run table of `train`'s results on one problem: one row per run, in their order.

    Columns: key (its number), problem (`name`), p, depth, width, bias, start, rule and schedule (as
    text), clip, seed, rate, weight_decay, budget (iterations of the longest run), status,
    diverged_at, iteration and distance (arrays: the curve), final (distance at the end, inf for a
    diverged run), floor (what the optimum's own error leaves of a distance of zero).
    """
    budget = max((int(at) for result in results for at in result.iteration[-1:]), default=0)
    rows = []
    for number, result in enumerate(results):
        run, optimum = result.run, problem.optimum(result.run.bias)
        distance = result.loss - optimum.loss
        rows.append(
            {
                "key": number, "problem": name, "p": problem.p, "depth": run.depth,
                "width": run.width, "bias": run.bias, "start": repr(run.start),
                "rule": repr(run.rule), "schedule": repr(run.schedule), "clip": run.clip,
                "seed": run.seed, "rate": run.rate, "weight_decay": run.weight_decay,
                "budget": budget, "status": result.status,
                "diverged_at": result.diverged_at, "iteration": result.iteration,
                "distance": distance, "floor": optimum.error,
                "final": distance[-1] if result.status == "completed" else math.inf,
            }
        )  # fmt: skip
    return pd.DataFrame(rows).astype({"diverged_at": "Int64"})


def tune(
    frame: pd.DataFrame,
    *,
    target: float | None = None,
    reach: Callable[..., Crossing] = iterations_to,
) -> pd.DataFrame:
    """One rate per model: the smallest median over starts of the criterion.

    The criterion is the distance at the budget, none below the table's `floor`, or the iterations
    to `target` as `reach` counts them (`iterations_to` or `arrival`); a diverged run counts as
    +inf, also where it met the target before. Equal medians are decided by the median iterations to
    the floor where there is one, then by the median final distance, then by the smaller rate.

    Columns beside the model's: rate, criterion (its median), by_start (seed → criterion at that
    rate), ties (other rates, same finite median), edge ('smallest' | 'largest' | 'only' rate of the
    grid, or ''), diverged and diverged_next_up (starts diverged at this rate and at the next larger
    one), start_rate and start_criterion (seed → the rate that is best for this start alone, and
    what it attains).

    >>> model = dict.fromkeys(MODEL, 1) | {"seed": 0, "status": "completed"}
    >>> runs = pd.DataFrame([model | {"rate": 0.1, "final": 5}, model | {"rate": 0.2, "final": 3}])
    >>> tune(runs)[["rate", "criterion", "edge"]].to_numpy().tolist()
    [[0.2, 3.0, 'largest']]
    """
    if frame.empty:
        raise ValueError("no runs to tune: the table is empty")
    completed = frame.status.eq("completed")
    floor = frame.floor if "floor" in frame else None
    final = frame.final.where(completed, math.inf).clip(lower=floor).to_numpy(float)

    def crossings(targets) -> np.ndarray:
        runs = zip(frame.iteration, frame.distance, targets, completed, strict=True)
        found = (reach(i, d, to).iterations if done else math.inf for i, d, to, done in runs)
        return np.fromiter(found, float)

    criterion = np.maximum(final, TINY) if target is None else crossings([target] * len(frame))
    if np.isnan(criterion).any():
        raise ValueError(f"{frame.key[np.isnan(criterion)].tolist()}: the final distance is NaN")
    columns = {
        "criterion": criterion, "final": final, "diverged": ~completed.to_numpy(),
        "sooner": np.zeros(len(frame)) if floor is None else crossings(floor),
        "rate": frame.rate.to_numpy(float), "seed": frame.seed.to_numpy(),
    }  # fmt: skip
    return pd.DataFrame(
        named | _tune_one(named, {name: values[rows] for name, values in columns.items()})
        for named, rows in _models(frame)
    )


def _models(frame: pd.DataFrame) -> Iterator[tuple[dict, np.ndarray]]:
    """The models of a run table, in order, each with the positions of its runs (pandas' grouping by
    a dozen columns takes longer than everything else that tuning does)."""
    names, found = _names(frame), {}
    for position, values in enumerate(zip(*(frame[name].tolist() for name in names), strict=True)):
        # no value is one value, and the last
        key = tuple((1, 0) if v is None or v != v else (0, v) for v in values)
        found.setdefault(key, []).append(position)
    for key in sorted(found):
        named = {n: math.nan if gone else v for n, (gone, v) in zip(names, key, strict=True)}
        yield named, np.array(found[key])


def _tune_one(model: dict, runs: dict[str, np.ndarray]) -> dict:
    name = ", ".join(f"{key}={value}" for key, value in model.items())
    rates, seeds = np.unique(runs["rate"]), np.unique(runs["seed"]).tolist()
    had = set(zip(runs["rate"].tolist(), runs["seed"].tolist(), strict=True))
    if len(runs["rate"]) > len(had):
        raise ValueError(f"{name}: a rate and seed occurs twice; keep one of the runs")
    missing = [(rate, seed) for rate in rates.tolist() for seed in seeds if (rate, seed) not in had]
    if missing:
        raise ValueError(f"{name}: not run, (rate, seed) = {missing}; run or leave out the rate")
    order = np.lexsort((runs["seed"], runs["rate"]))
    criterion, sooner, final, diverged = (
        runs[column][order].reshape(len(rates), len(seeds))
        for column in ("criterion", "sooner", "final", "diverged")
    )
    median = np.median(criterion, axis=1)
    order = rates, np.median(final, axis=1), np.median(sooner, axis=1), median
    best = int(np.lexsort(order)[0])
    last = len(rates) - 1
    edges = {0: "smallest", last: "largest"} if last else {0: "only"}
    tied = (median == median[best]) & np.isfinite(median) & (rates != rates[best])
    own = np.lexsort((sooner, criterion), axis=0)[0]
    return {
        "rate": float(rates[best]),
        "criterion": float(median[best]),
        "by_start": dict(zip(seeds, criterion[best].tolist(), strict=True)),
        "ties": tuple(rates[tied].tolist()),
        "edge": edges.get(best, ""),
        "diverged": int(diverged[best].sum()),
        "diverged_next_up": int(diverged[best + 1].sum()) if best < last else 0,
        "start_rate": dict(zip(seeds, rates[own].tolist(), strict=True)),
        "start_criterion": dict(zip(seeds, criterion.min(axis=0).tolist(), strict=True)),
    }


def speedup(
    frame: pd.DataFrame,
    *,
    baseline: Mapping[str, object],
    target: float,
    per_start: bool = False,
    reach: Callable[..., Crossing] = iterations_to,
) -> pd.DataFrame:
    """How many times fewer iterations than the baseline a model needs to reach `target`.

    `reach` counts them: to the first crossing (`iterations_to`) or to the `arrival`. Every model is
    tuned for this target (`per_start`: anew for each start) and compared with the baseline
    (`{'depth': 1}`: the column values that select it) start by start. `speedup` is the
    `median_interval` of these ratios. A run that has not reached the target within the budget,
    diverged ones included, has needed more than the budget: its ratio is kept as a bound.

    >>> run = dict.fromkeys(MODEL, 100) | {"seed": 0, "rate": 0.1, "final": 1}
    >>> run["status"] = "completed"
    >>> slow = run | {"depth": 1, "iteration": [1, 10, 100], "distance": [100.0, 10.0, 1.0]}
    >>> fast = run | {"depth": 2, "iteration": [1, 10, 100], "distance": [10.0, 2.0, 1.0]}
    >>> runs = pd.DataFrame([slow, fast])
    >>> print(speedup(runs, baseline={"depth": 1}, target=10.0).speedup[0])
    10
    """
    return _compare(frame, baseline, target, per_start, reach)


def gain_at_budget(
    frame: pd.DataFrame, *, baseline: Mapping[str, object], per_start: bool = False
) -> pd.DataFrame:
    """Ratio of distances left at the budget, baseline's over the model's; else like `speedup`."""
    return _compare(frame, baseline, None, per_start, iterations_to)


def _compare(frame, baseline, target, per_start, reach):
    for shared in ("problem", "p", "budget"):
        if frame[shared].nunique() > 1:
            raise ValueError(
                f"{shared} = {sorted(frame[shared].unique())}: models are compared on one; "
                "select it first"
            )
    tuned = tune(frame, target=target, reach=reach).to_dict("records")
    unknown = set(baseline) - set(names := _names(frame))
    if unknown or not baseline:
        raise ValueError(f"baseline names {sorted(unknown)}; allowed are {', '.join(names)}")
    chosen = [m for m in tuned if all(m[name] == value for name, value in baseline.items())]
    if len(chosen) != 1:
        raise ValueError(
            f"baseline = {dict(baseline)} selects {len(chosen)} of {len(tuned)} models: "
            "name exactly one"
        )
    values, rates = ("start_criterion", "start_rate") if per_start else ("by_start", "rate")
    (base,) = chosen
    # At the budget a diverged run has no distance; only then is +inf the value itself, not a bound.
    budget = math.inf if target is None else float(frame.budget.iloc[0])
    rows = []
    for model in (model for model in tuned if model is not base):
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
        bounds = [ratio(of, to, budget) for of, to in pairs]
        rows.append(
            {name: model[name] for name in names}
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
                "edge": model["edge"],
                "baseline_edge": base["edge"],
            }
        )
    table = pd.DataFrame(rows)
    return table.drop(columns="target") if target is None else table


def ratio(of: float, to: float, budget: float) -> tuple[float, float]:
    """Bounds of of / to, either known or known only to exceed the budget."""
    low = 0.0 if math.isinf(to) else min(of, budget) / to
    high = math.inf if math.isinf(of) else of / min(to, budget)
    return low, high


def _names(frame: pd.DataFrame) -> list[str]:
    """The columns that tell the models of a run table apart."""
    return [*MODEL, *(name for name in MORE if name in frame)]
