"""Predicates of ours, on real tables: what we expected before the survey was computed.

The table `survey` has a row a problem, share of the budget and depth. Judged are the tables as they
are, at near-zero starts, at the target where one layer is after 40 % of the budget; "most" is said
where the whole interval of the share of tables (Wilson, 95 %) lies above one half.

Two formulas predict the sign: that of the map, and the layers' flow, for which only the limit from
which on it says "faster" is chosen, on one half of the tables (`survey.HALF_A`). A formula errs in
a cell when the network's interval excludes 1 on the other side; cells that are not decided are not
counted. Cells of one table are not independent: tables are drawn again for intervals. Only the
search was tried out before (on `airfoil` and `yacht`, of that half, and on ethanol at ℓ2).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from accel_core.intervals import Estimate, median_interval
from report.claims.base import UNDECIDED, Criterion, Runs, Verdict, claims, select
from report.claims.draws import Share
from report.experiments.survey import HALF_A, SIX

SHARE, BUDGET = 0.4, 10_000
SAME = 0.02  # relative: test errors that differ by less are equal
Found = tuple[bool, dict[str, object]]
PREDICTORS = ("majority", "features", "map", "flow", "flow_fitted")


def cells(runs: Runs, **chosen: object) -> pd.DataFrame:
    """The rows of the survey at `SHARE`; by default of the usual budget, all rows of a table."""
    chosen = {"share": SHARE, "iterations": BUDGET, "trimmed": False} | chosen
    table = "exponents" if chosen.get("p") in (3, 6) else "survey"
    return select(runs(table), **chosen).set_index("dataset")


def most(true: Sequence[bool]) -> Found | Verdict:
    """Whether it is true of most tables; undecided where the interval of the share includes one
    half (called "not reproduced" until all outcomes were known)."""
    share = Share(int(np.sum(true)), len(true), "tables")
    _, low, high = share.bounds
    if low <= 0.5 <= high:
        told = "the interval of the share of tables includes one half"
        return Verdict(UNDECIDED, {"true of": share}, told)
    return share.mostly, {"true of": share}


def middle(speed: Estimate) -> float:
    """The median speed-up: of a censored one the bound nearer to 1, from the side that is known."""
    return speed.median_high if speed.median_high <= 1 else speed.median_low


def squares_slower(runs: Runs) -> Found:
    return most([s.median_high < 1 for s in cells(runs, p=2.0, depth=2).speedup])


def coarse_slower(runs: Runs) -> Found:
    slower = cells(runs, depth=2, iterations=100).speedup.map(lambda s: s.median_high < 1)
    return most(slower.groupby(level=0).all())


def three_no_faster(runs: Runs) -> Found:
    two, three = (cells(runs, p=4.0, depth=n).value for n in (2, 3))
    return most(three >= two)


def outliers_carry(runs: Runs) -> Found:
    without = cells(runs, p=4.0, depth=2, trimmed=True).speedup.map(middle)
    whole = cells(runs, p=4.0, depth=2).speedup.map(middle)[without.index]
    return most(without < whole)


def faster(p: float) -> Criterion:
    return lambda runs: most([s.median_low > 1 for s in cells(runs, p=p, depth=2).speedup])


def rises(lower: float, higher: float) -> Criterion:
    """Whether two layers gain more at the higher exponent, on most tables."""

    def criterion(runs: Runs) -> Found:
        few, more = (cells(runs, p=p, depth=2).speedup.map(middle) for p in (lower, higher))
        return most(more[few.index] > few)

    return criterion


def carried(runs: Runs) -> dict[tuple[int, ...], Estimate]:
    """Two layers' speed-up at ℓ4 without these of ethanol's outlying rows."""
    table = select(runs("left_out"), share=SHARE, depth=2)
    return dict(zip(table.left_out, table.speedup, strict=True))


def dose(runs: Runs) -> Found:
    found = carried(runs)
    steps = [found[SIX[:n]] for n in range(7)]
    fall = sum(middle(b) < middle(a) for a, b in pairwise(steps))
    named = {f"without {n} of six rows": gain for n, gain in enumerate(steps)}
    return fall >= 5 and steps[-1].high < steps[0].low, named | {"steps that fall": fall}


def no_single_row(runs: Runs) -> Found:
    found = carried(runs)
    kept = {row: np.log(middle(found[row,])) / np.log(middle(found[()])) for row in SIX}
    return min(kept.values()) > 0.5, {f"kept without row {row}": k for row, k in kept.items()}


def same_test(runs: Runs) -> Found:
    evidence = {}
    for p in (2.0, 4.0):
        ratios = cells(runs, p=p, depth=2).held_out.map(np.nanmedian).dropna()
        found = median_interval(ratios)
        evidence[f"held-out loss over one layer's at ℓ{p:g}"] = found
    return all(each.within(1 - SAME, 1 + SAME) for each in evidence.values()), evidence


def _decided(runs: Runs) -> pd.DataFrame:
    table = select(runs("survey"), share=SHARE)
    low, high = (np.array([getattr(s, end) for s in table.speedup]) for end in ("low", "high"))
    return table.assign(fast=low > 1, half_a=table.dataset.isin(HALF_A))[(low > 1) | (high < 1)]


def limit(runs: Runs) -> float:
    """The speed-up predicted by the flow from which on "faster" is said: best on `HALF_A`."""
    own = _decided(runs)[lambda t: t.half_a]
    limits = np.sort(own.flow.to_numpy())
    return float(limits[np.argmin([np.sum((own.flow > each) != own.fast) for each in limits])])


def decided(runs: Runs) -> pd.DataFrame:
    """Every decided cell, of all budgets and with outlying rows left out, too: `fast`, `half_a`,
    and what each of `PREDICTORS` says."""
    table = _decided(runs)
    own = table[table.half_a]
    features = np.column_stack([
        np.ones(len(table)), table.p - 3, table.depth - 2.5, np.log10(table.iterations) - 3,
        np.log10(table.condition.clip(upper=1e12)) / 4 - 1, np.log(table["kurtosis"]) - 1,
    ])  # fmt: skip
    sign = np.where(own.fast, 1.0, -1.0)

    def cost(w):  # of the logistic regression, a little shrunk
        return np.logaddexp(0, -sign * (features[table.half_a] @ w)).sum() + 0.5 * w[1:] @ w[1:]

    return table.assign(
        majority=own.fast.mean() > 0.5,
        features=features @ minimize(cost, np.zeros(features.shape[1])).x > 0,
        map=table["map"] > 1,
        flow_fitted=table.flow > limit(runs),
        flow=table.flow > 1,
    )


def errors(runs: Runs, better: str, worse: str) -> tuple[dict, tuple[float, float]]:
    """On the half not fitted: errors of each predictor and the number of cells; and the interval of
    the share in which `worse` errs more than `better`, tables drawn again."""
    table = decided(runs)
    table = table[~table.half_a]
    wrong = {name: table[name] != table.fast for name in PREDICTORS}
    gain = (wrong[worse].astype(int) - wrong[better]).groupby(table.dataset).agg(["sum", "size"])
    rng, n = np.random.default_rng(0), len(gain)
    drawn = gain.to_numpy()[rng.integers(n, size=(4999, n))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    found = {name: int(errs.sum()) for name, errs in wrong.items()} | {"cells": len(table)}
    return found, (float(low), float(high))


def _beats(better: str, worse: str) -> Criterion:
    def criterion(runs: Runs) -> Found:
        found, (low, high) = errors(runs, better, worse)
        fewer = (found[worse] - found[better]) / found["cells"]
        gain = f"{fewer:.0%} [{low:.0%}, {high:.0%}] of cells"
        return low > 0, found | {"errs less in": gain}

    return criterion


CLAIMS = claims("survey", {
    "survey-squares": squares_slower,
    "survey-fourth": faster(4.0),
    "survey-three": three_no_faster,
    "survey-coarse": coarse_slower,
    "survey-outliers": outliers_carry,
    "survey-test": same_test,
    "survey-third": faster(3.0),
    "survey-sixth": faster(6.0),
    "survey-rises-3": rises(2.0, 3.0),
    "survey-rises-4": rises(3.0, 4.0),
    "survey-rises-6": rises(4.0, 6.0),
    "survey-dose": dose,
    "survey-no-single-row": no_single_row,
    "survey-flow": _beats("flow_fitted", "majority"),
    "survey-features": _beats("flow_fitted", "features"),
    "survey-flow-map": _beats("flow", "map"),
})  # fmt: skip
