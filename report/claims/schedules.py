"""Predicates of ours, on learning-rate schedules and on which starts survive: predictions.

Their criteria were committed before the runs that judge them. The target of every comparison is
where one layer at its best constant rate is after 80 % of a budget; a run has arrived when it stays
below; iterations are medians over starts, each model at the rate that makes its median the least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from accel_core.curves import arrival, distance_at
from accel_core.intervals import median_interval
from accel_core.statistics import ratio, tune
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    Criterion,
    Runs,
    Verdict,
    claims,
    select,
)
from report.experiments.schedules import BUDGET, constant

SHARE = 0.8  # of the budget
HALF = 0.5  # of the logarithm of the gain
SAME = 1.1  # ratio of iterations up to which two models are equally fast
NEAR = 1.5  # ratio up to which two schedules do the same
DEMANDED = 0.9  # share of the starts that survives a rate which one may call stable


def arrivals(model: pd.DataFrame, target: float) -> pd.DataFrame:
    """A row a rate and schedule: `median` iterations to the target over starts and `by_start`
    (a start that diverges or never arrives counts as +inf)."""
    rows = []
    for row in model.itertuples():
        reached = [
            arrival(row.iteration, d, target).iterations if np.isfinite(d).all() else math.inf
            for d in row.distances
        ]
        rows.append({"rate": row.rate, "warm_up": row.warm_up, "clip": row.clip,
                     "median": float(np.median(reached)), "by_start": reached})  # fmt: skip
    return pd.DataFrame(rows)


def kinds(models: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The models by kind of schedule: constant, warm-up, clipped, and any of them."""
    constant = models.warm_up.eq(0) & models["clip"].eq(0)
    return {"constant": models[constant], "warm-up": models[models.warm_up.gt(0)],
            "clipped": models[models["clip"].gt(0)], "any": models}  # fmt: skip


def target_of(models: pd.DataFrame, budget: int) -> float:
    """Where one layer at its best constant rate is after `SHARE` of the budget, median start."""
    layer = kinds(select(models, depth=1))["constant"].sort_values("final").iloc[0]
    at = [
        distance_at(layer.iteration, d[np.isfinite(d)], SHARE * budget)[()] for d in layer.distances
    ]
    return float(np.median(at))


def corners(models: pd.DataFrame, budget: int) -> dict[tuple[int, str], pd.Series]:
    """(depth, kind of schedule) → the row of `arrivals` with the least median."""
    target = target_of(models, budget)
    return {
        (depth, kind): arrivals(members, target).sort_values("median").iloc[0]
        for depth in (1, 2, 3)
        for kind, members in kinds(select(models, depth=depth)).items()
        if len(members)
    }


def beside(
    corners: Mapping[tuple[int, str], pd.Series], depth: int, kind: str, budget: int
) -> dict:
    """A corner as a row of a table: its schedule and rate, its median iterations, and its speed-up
    over one layer at a constant rate, paired by start, as far as both are known."""
    best, base = corners[depth, kind], corners[1, "constant"]
    bounds = [ratio(*pair, budget) for pair in zip(base.by_start, best.by_start, strict=True)]
    schedule = {"constant": "constant", "warm-up": f"warm-up, {best.warm_up:,} steps",
                "clipped": f"clipped at {best['clip']:g}"}[kind]  # fmt: skip
    speedup = 1.0 if best is base else median_interval(*zip(*bounds, strict=True))
    return {"depth": depth, "schedule": schedule, "rate": best.rate, "iterations": best["median"],
            "speedup": speedup}  # fmt: skip


def by_survival(runs: Runs, demanded: Sequence[float] = (0.5, 0.9, 0.99)) -> pd.DataFrame:
    """Speed-up of `two` and `three` layers at ℓ4 over one at the largest recorded rate that this
    share of its starts survives: to where that is after `SHARE` of a million iterations (median of
    the starts that live), each at the rate that is best for it."""
    sweeps = pd.concat([runs("tuned_rates"), runs("tuned_rates_fine")]).drop_duplicates("key")
    sweeps = sweeps[sweeps.p.eq(4)]
    lived = select(runs("survival"), p=4.0, depth=1)
    budget, rows = int(sweeps.budget.iloc[0]), []
    for share in demanded:
        layer = sweeps[sweeps.depth.eq(1) & sweeps.status.eq("completed")]
        layer = layer[layer.rate.le(limits(lived, share))]
        layer = layer[layer.rate.eq(layer.rate.max())]
        at = SHARE * budget
        target = np.median([distance_at(r.iteration, r.distance, at) for r in layer.itertuples()])
        row = {"demanded": share, "rate": layer.rate.iloc[0]}
        for name, depth in (("two", 2), ("three", 3)):
            deeper = tune(sweeps[sweeps.depth.eq(depth)], target=target, reach=arrival)
            row[name] = at / deeper.criterion.item()
        rows.append(row)
    return pd.DataFrame(rows)


def models_of(runs: Runs, p: float) -> tuple[pd.DataFrame, int]:
    """Every model and rate that ran for the loss's budget, and the budget: under a schedule, and
    at the constant rates of the two recorded sweeps."""
    sweeps = pd.concat([runs("tuned_rates"), runs("tuned_rates_fine")]).drop_duplicates("key")
    scheduled = select(runs("schedules"), p=p, momentum=0.0, trimmed=False, iterations=BUDGET[p])
    return pd.concat([constant(sweeps, p), scheduled]), BUDGET[p]


Corners = Mapping[tuple[int, str], pd.Series]


def best(p: float, ask: Callable[[Corners], Verdict | tuple[bool, dict]]) -> Criterion:
    """What `ask` says of each depth's best models under every kind of schedule."""
    return lambda runs: ask(corners(*models_of(runs, p)))


def rate_rises(at: Corners) -> tuple[bool, dict]:
    constant, warm = at[1, "constant"].rate, at[1, "warm-up"].rate
    evidence = {"best constant rate": constant, "best rate with a warm-up": warm}
    return warm >= 2 * constant, evidence


def gain_left(at: Corners) -> Verdict | tuple[bool, dict]:
    plain, scheduled = (at[1, k]["median"] / at[2, k]["median"] for k in ("constant", "any"))
    evidence = {"gain, both constant": plain, "gain, both scheduled": scheduled}
    if plain <= SAME:
        return Verdict(NOT_REPRODUCED, evidence, "without schedules there is no gain to keep")
    return math.log(scheduled) < HALF * math.log(plain), evidence


def squares_gain_nothing(at: Corners) -> tuple[bool, dict]:
    gain = at[1, "constant"]["median"] / at[1, "any"]["median"]
    return gain <= SAME, {"gain of the best schedule": gain}


def clipping_is_a_warm_up(at: Corners) -> tuple[bool, dict]:
    ratio = at[1, "warm-up"]["median"] / at[1, "clipped"]["median"]
    evidence = {"iterations with a warm-up over those with clipping": ratio}
    return max(ratio, 1 / ratio) <= NEAR, evidence


def layer_beats_depth(at: Corners) -> Verdict | tuple[bool, dict]:
    gains = {d: at[d, "constant"]["median"] / at[1, "any"]["median"] for d in (2, 3)}
    evidence = {f"iterations of depth {d}, constant, over one layer's": g for d, g in gains.items()}
    faster = [d for d, gain in gains.items() if gain >= 1]
    if len(faster) == 1:
        return Verdict(CONDITION, evidence, f"for depth {faster[0]} only")
    return bool(faster), evidence


def survival_is_a_coin(runs: Runs) -> tuple[bool, dict]:
    table = select(runs("survival"), p=4.0, depth=1)
    row = table.iloc[(np.log(table.rate / 1e-3)).abs().argmin()]
    evidence = {f"share that survives {row.rate:g}": row.share, "low": row.low, "high": row.high}
    return row.low >= 1 - DEMANDED and row.high <= DEMANDED, evidence


def limit_is_soft(runs: Runs) -> tuple[bool, dict]:
    table = select(runs("survival"), p=4.0, depth=1)
    half, nearly_all = limits(table, 0.5), limits(table, 0.99)
    evidence = {"rate that half survive": half, "rate that 99 % survive": nearly_all}
    return half / nearly_all >= NEAR, evidence


def limits(table: pd.DataFrame, demanded: float) -> float:
    """The largest rate up to which every rate is survived by this share of the starts."""
    fails = table.sort_values("rate").share.to_numpy() < demanded
    rates = table.sort_values("rate").rate.to_numpy()
    return float(rates[np.argmax(fails) - 1]) if fails.any() and not fails[0] else math.nan


CLAIMS = claims("schedules", {
    "schedule-rate-rises": best(4.0, rate_rises),
    "schedule-layer-beats-depth": best(4.0, layer_beats_depth),
    "schedule-gain-left": best(4.0, gain_left),
    "schedule-clipping": best(4.0, clipping_is_a_warm_up),
    "schedule-squares": best(2.0, squares_gain_nothing),
    "survival-coin": survival_is_a_coin,
    "survival-soft": limit_is_soft,
})  # fmt: skip
