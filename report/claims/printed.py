"""Criteria of the kind "this is the printed curve": our runs against a curve of the paper.

The deviation is the largest |log10(ours / printed)| on the printed curve's own points after a given
iteration, for each start; five starts give a median and a range.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from accel_core.curves import deviation_dex, distance_at
from accel_core.intervals import median_interval
from accel_core.statistics import tune
from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, Runs, Verdict, select
from report.claims.races import all_starts

PRINTED = "paper_curves"  # columns figure, curve, iteration, value
ALLOWED = 0.05  # dex, the measure that the project set itself for every printed curve
SKIPPED = 0.1  # share of the axis that is left out: too steep to be read, and marked by the start

Curve = tuple[np.ndarray, np.ndarray]


def printed_curve(runs: Runs, figure: str, curve: str) -> Curve:
    """(iteration, distance) of a printed curve."""
    table = select(runs(PRINTED), figure=figure, curve=curve)
    return table.iteration.to_numpy(float), table.value.to_numpy(float)


def deviations(model: pd.DataFrame, reference: Curve, after: float | None = None) -> pd.DataFrame:
    """One row per rate of a model's runs: rate, dex (`Estimate`), by_start, diverged; from
    iteration `after` on, by default over the last 90 % of the axis."""
    rows, after = [], SKIPPED * model.budget.iloc[0] if after is None else after
    for rate, group in all_starts(model).groupby("rate"):
        dex = {
            run.seed: deviation_dex((run.iteration, run.distance), reference, after)
            for run in group.itertuples()
        }
        diverged = int(group.status.ne("completed").sum())
        rows.append((rate, median_interval(list(dex.values())), dex, diverged))
    return pd.DataFrame(rows, columns=["rate", "dex", "by_start", "diverged"])


def stated_and_nearest(
    model: pd.DataFrame, table: pd.DataFrame, rate: float | None = None
) -> tuple[pd.Series, pd.Series]:
    """Of a model's `deviations` the row at `rate` (default: its tuned one), and the one whose
    median start comes nearest (of equals, the smaller rate)."""
    stated = rate if rate is not None else tune(model).rate.iloc[0]
    order = np.lexsort((table.rate, [dex.median_low for dex in table.dex]))
    return table[table.rate.eq(stated)].iloc[0], table.iloc[order[0]]


def implied_rate(run: pd.Series, reference: Curve, after: float) -> tuple[float, float]:
    """(rate, dex): at which rate a run of gradient descent in its stable range would come nearest.

    Stable curves of one start fall on one line over rate × iteration, so the run's own curve,
    read at factor × iteration, is the curve at factor × its rate. Only factors that do not read
    past the run's end are tried.
    """
    at, value = (column[reference[0] >= after] for column in reference)
    factors, best = np.geomspace(0.02, 50, 800), (np.nan, np.inf)
    for factor in factors[factors * at.max() <= run.iteration[-1]]:
        curve = distance_at(run.iteration, run.distance, np.maximum(factor * at, 1))
        dex = float(np.abs(np.log10(curve / value)).max())
        best = min(best, (run.rate * factor, dex), key=lambda pair: pair[1])
    return best


def match(
    reference: Curve, candidates: Mapping[str, pd.DataFrame], rate: float | None = None
) -> Verdict:
    """Whether the median start follows the printed curve over the last 90 % of the axis.

    `candidates`: phrase → runs of one model; the first is the claimed one. Reproduced: it does at
    `rate` (default: its tuned rate). With a condition: another rate of the grid, or candidate.
    """
    evidence, matching = {}, []
    after = SKIPPED * next(iter(candidates.values())).budget.iloc[0]
    for number, (phrase, model) in enumerate(candidates.items()):
        rows = stated_and_nearest(model, deviations(model, reference, after), rate)
        for row in rows:
            name = f"{phrase}, rate {row.rate:g}, dex after iteration {after:,.0f}"
            evidence[name] = row.dex
            if row.dex.median_high <= ALLOWED:
                if number == 0 and row.rate == rows[0].rate:
                    return Verdict(REPRODUCED, evidence)
                matching.append(f"{phrase}, rate {row.rate:g}")
    return found_near(evidence, [f"with {phrase}" for phrase in matching], ALLOWED)


def match_tuned(model: pd.DataFrame, reference: Curve, after: int, allowed: float) -> Verdict:
    """Whether the median start follows the printed curve: at the tuned rate (reproduced), or at
    another one of the grid (with a condition)."""
    tuned, best = stated_and_nearest(model, deviations(model, reference, after))
    where = f"dex after iteration {after:,}"
    evidence = {
        f"{where}, tuned rate {tuned.rate:g}": tuned.dex,
        f"{where}, nearest rate {best.rate:g}": best.dex,
    }
    if tuned.dex.median_high <= allowed:
        return Verdict(REPRODUCED, evidence)
    near = best.dex.median_high <= allowed
    told = [f"with the rate {best.rate:g}; the best is {tuned.rate:g}"] if near else []
    return found_near(evidence, told, allowed)


def found_near(evidence: Mapping[str, object], conditions: list[str], allowed: float) -> Verdict:
    """With the first of the conditions under which a curve comes near; without any, none does."""
    if conditions:
        return Verdict(CONDITION, evidence, conditions[0])
    reason = f"no rate of the grid comes within {allowed} dex (median start)"
    return Verdict(NOT_REPRODUCED, evidence, reason)
