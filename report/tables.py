"""Tables of the chapters on the paper's figures: deviations from the printed curves, and races."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accel_core.intervals import Estimate
from accel_core.statistics import tune
from report.claims.base import Claim, Runs
from report.claims.page import MARKS, NAMES
from report.claims.printed import SKIPPED, Curve, deviations, implied_rate, nearest
from report.figure_data import NUMBERS

__all__ = ["Table", "deviation_table", "race_view", "sci", "show", "verdicts"]


def show(
    table: pd.DataFrame,
    formats: Mapping[str, str | Callable] | None = None,
    full: pd.DataFrame | None = None,
) -> Table:
    """A table as a page's output; the one place where its numbers are formatted.

    `formats` gives a column's format, as in "{:.2f}" or a function; other numbers get three digits.
    `full`, or else the table itself, is offered below it as CSV in the built book, unformatted.
    """
    return Table(table, dict(formats or {}), table if full is None else full)


@dataclass(frozen=True, eq=False)
class Table:
    """What `show` returns: IPython displays it as HTML, with its CSV where the book asks for it."""

    shown: pd.DataFrame
    formats: Mapping[str, str | Callable]
    full: pd.DataFrame

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        cells = self.shown.copy().astype(object)
        for column in cells:
            form = self.formats.get(column, _cell)
            as_text = form.format if isinstance(form, str) else form
            cells[column] = cells[column].map(as_text)
        html = cells.to_html(index=False, border=0, justify="left")
        bundle = {"text/html": html, "text/plain": f"{len(cells)} rows"}
        if os.environ.get("ACCEL_FIGURE_DATA"):
            bundle[NUMBERS] = self.full.to_csv(index=False)
        return bundle


def sci(number: float) -> str:
    """Three digits, thousands separated: 0.00123, 12.3, 123,000; '> budget' stays a word."""
    if not np.isfinite(number):
        return "∞" if number > 0 else "–"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return sci(value)
    if isinstance(value, Estimate):
        return f"{value}" if np.isfinite(value.median_low) else f"∞ [{sci(value.low)}, ∞]"
    return str(value)


def deviation_table(
    curves: Mapping[str, tuple[Curve, pd.DataFrame]], rate: float | None = None
) -> pd.DataFrame:
    """One row per printed curve: name → (printed curve, the runs of our counterpart).

    Deviation in dex over the last 90 % of the axis, median start [all starts], at the stated `rate`
    (default: the tuned one) and at the nearest of the grid. For gradient descent also the rate at
    which its stable curves, stretched along the axis, come nearest, and how near.
    """
    return pd.DataFrame(
        [_deviation(name, curve, runs, rate) for name, (curve, runs) in curves.items()]
    )


def _deviation(name: str, curve: Curve, runs: pd.DataFrame, rate: float | None) -> dict:
    after = SKIPPED * runs.budget.iloc[0]
    table = deviations(runs, curve, after)
    stated = rate if rate is not None else tune(runs).rate.iloc[0]
    at, best = table[table.rate.eq(stated)].iloc[0], nearest(table)
    row = {
        "printed curve": name,
        "tuned rate" if rate is None else "stated rate": f"{stated:g}",
        "dex": at.dex,
        "diverged": f"{at.diverged} of {at.dex.n}",
        "nearest rate": f"{best.rate:g}",
        "dex there": best.dex,
        "nearest single start": _single(table),
    }
    if runs.rule.iloc[0] == "GradientDescent()":
        row["rate that would give it (dex)"] = _implied(curve, runs, after)
    return row


def _single(table: pd.DataFrame) -> str:
    """The smallest deviation of any start at any rate, that rate, and how many starts complete."""
    least = [min(dexes.values()) for dexes in table.by_start]
    row = table.iloc[int(np.argmin(least))]
    complete = row.dex.n - row.diverged
    return f"{sci(min(least))} at {row.rate:g} ({complete} of {row.dex.n})"


def _implied(curve: Curve, runs: pd.DataFrame, after: float) -> str:
    """From the tuned rate, if no start diverges there: median over starts of the implied rate. (A
    larger one may complete without training.)"""
    tuned = runs[runs.rate.eq(tune(runs).rate.iloc[0])]
    if not tuned.status.eq("completed").all():
        return "–"
    found = np.array([implied_rate(run, curve, after) for _, run in tuned.iterrows()])
    if not np.isfinite(found[:, 1]).any():
        return "–"
    rate, dex = found[np.argsort(found[:, 1])[len(found) // 2]]
    return f"{rate:.2g} ({dex:.2g})" if np.isfinite(dex) else "–"


def race_view(
    table: pd.DataFrame, cost: Mapping[str, float] | None = None, names: Iterable[str] = ()
) -> pd.DataFrame:
    """`races.race_table` as a page shows it: targets, rates, iterations, speed-ups, censored ones.

    `cost`: race name → cost of an iteration of the model over that of the other; adds the speed-up
    in that cost. A speed-up "> x" or "< x" is a bound: one of the two has not met the target.
    """
    rows = []
    for row in table.itertuples():
        shown = {
            "comparison": row.race.name,
            "target (share of the budget)": f"{sci(row.target)} ({row.race.fraction:.0%})",
            "rates": f"{_rate(row.rate, row.edge)} / {_rate(row.baseline_rate, row.baseline_edge)}",
            "iterations": f"{sci(row.value)} / {sci(row.baseline_value)}",
            "speed-up [all starts]": str(row.speedup),
            "never there": f"{row.censored} / {row.baseline_censored}",
        }
        if cost:
            each = row.speedup
            shown["in arithmetic"] = f"{sci(each.median_low / cost[row.race.name])}"
        rows.append(shown)
    return pd.DataFrame(rows)


def _rate(rate: float, edge: str) -> str:
    return f"{rate:g}{' (edge)' if edge else ''}"


def verdicts(runs: Runs, claims: Iterable[Claim]) -> pd.DataFrame:
    """The claims of a chapter: claim, verdict, condition or reason."""
    rows = []
    for claim in claims:
        verdict = claim.judge(runs)
        rows.append(
            {
                "claim": f"{claim.sentence} ({NAMES[claim.source]}, {claim.place})",
                "verdict": f"{MARKS[verdict.outcome]} {verdict.outcome}",
                "condition or reason": verdict.condition,
            }
        )
    return pd.DataFrame(rows)
