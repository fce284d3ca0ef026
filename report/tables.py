"""Numbers become text here and nowhere else; and the typed tables that several chapters show."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product
from math import floor, isfinite, isinf, isnan, log10
from numbers import Integral, Real

import numpy as np
import pandas as pd

from accel_core import statistics
from accel_core.intervals import Estimate
from report.claims import printed
from report.claims.base import Claim, Runs, Verdict
from report.claims.page import MARKS, NAMES
from report.claims.printed import Curve
from report.claims.races import target
from report.figure_data import NUMBERS

__all__ = ["Table", "deviations", "number", "races", "show", "speedups", "verdicts"]

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


# ---- numbers ---------------------------------------------------------------------------------


def number(value: object, digits: int = 3) -> str:
    """A number or an `Estimate` as a page writes it, to so many significant digits; text as it is.

    >>> number(1.7), number(466_982.3), number(5e-5), number(0.0), number(np.inf)
    ('1.7', '467,000', '5 × 10⁻⁵', '0', '∞')
    >>> number(500.0, 2), number(12_345), number("plain")  # a count is exact
    ('500', '12,345', 'plain')
    >>> number(Estimate(1.7, 1.7, 1.68, 1.732, 0.94, 5))  # all to the same place
    '1.70 [1.68, 1.73]'
    >>> number(Estimate(2.1, np.inf, 1.9, np.inf, 0.94, 5))  # a bound, where runs are censored
    '> 2.10 [1.90, ∞]'
    """
    if isinstance(value, Estimate):
        return _estimate(value, digits)
    if isinstance(value, Integral) and not isinstance(value, bool | np.bool_):
        return f"{int(value):,}"
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        return "–" if value is None or value is pd.NA else str(value)
    return _real(float(value), digits, None)


def _real(value: float, digits: int, places: int | None) -> str:
    """`places`: digits after the point, kept also where they are 0."""
    if isnan(value):
        return "–"
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 0 < abs(value) < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = f"{float(mantissa):g}"
        return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}".replace("-", "−")
    if places is not None:
        return f"{value:,.{places}f}".replace("-", "−")
    value = round(value, digits - 1 - floor(log10(abs(value))))
    text = f"{value:,.0f}" if abs(value) >= 10 ** min(digits, 3) else f"{value:.{digits}g}"
    return text.replace("-", "−")


def _estimate(value: Estimate, digits: int) -> str:
    ends = (value.median_low, value.median_high, value.low, value.high)
    if isinf(min(ends)):  # every run diverged
        return "∞"
    largest = max((abs(end) for end in ends if isfinite(end) and end), default=1.0)
    decimals = digits - 1 - floor(log10(largest))
    shown = [round(end, decimals) if isfinite(end) else end for end in ends]
    low, high, first, last = (_real(end, digits, max(decimals, 0)) for end in shown)
    if isinf(value.median_low):
        middle = low
    elif isinf(value.median_high):
        middle = f"> {low}" if value.median_low else "unknown"
    elif value.median_low == value.median_high:
        middle = low
    else:
        middle = f"{low} to {high}" if value.median_low else f"< {high}"
    return f"{middle} [{first}, {last}]"


# ---- tables ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """What `show` returns: IPython displays it as HTML, with its CSV where the book asks for it."""

    shown: pd.DataFrame
    formats: Mapping[str, str | Callable]
    full: pd.DataFrame

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        cells = self.shown.rename_axis(columns=None).astype(object)
        for column in cells:
            form = self.formats.get(column, number)
            cells[column] = cells[column].map(form.format if isinstance(form, str) else form)
        html = cells.to_html(index=False, border=0, justify="left")
        bundle = {"text/html": html, "text/plain": f"{len(cells)} rows"}
        if os.environ.get("ACCEL_FIGURE_DATA"):
            bundle[NUMBERS] = self.full.to_csv(index=False)
        return bundle


def show(
    table: pd.DataFrame,
    formats: Mapping[str, str | Callable] | None = None,
    full: pd.DataFrame | None = None,
    columns: Mapping[str, str] | None = None,
) -> Table:
    """A table as a page's output; the one place where its numbers are formatted.

    `formats` gives a column's format, as in "{:.2f}" or a function; others go through `number`.
    `columns` selects and orders columns, and gives each its heading on the page. `full`, or else
    the table itself, is offered below it as CSV in the built book, unformatted.
    """
    if isinstance(table, Verdicts):
        return table
    shown, formats = table, dict(formats or {})
    if columns is not None:
        shown = table[list(columns)].rename(columns=columns)
        formats = {columns.get(name, name): form for name, form in formats.items()}
    return Table(shown, formats, table if full is None else full)


def speedups(frame: pd.DataFrame, shares: Sequence[float], **options) -> pd.DataFrame:
    """Speed-ups over the single layer, each model tuned for the target: where the tuned single
    layer is after these shares of the budget. One loss after the other. `options`: those of
    `statistics.speedup` (`reach=arrival`).

    Its columns, among them depth, target (distance), rate, baseline_rate, value and baseline_value
    (iterations, median start), speedup (`Estimate`), censored and baseline_censored (starts that do
    not arrive), edge; and `share` in front.
    """
    tables = []
    for (_, runs), share in product(frame.groupby("p"), shares):
        goal = target(runs, {"depth": 1}, share)
        table = statistics.speedup(runs, baseline={"depth": 1}, target=goal, **options)
        table.insert(0, "share", share)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def races(table: pd.DataFrame) -> pd.DataFrame:
    """`claims.races.race_table` with what names a race in columns: comparison, share."""
    named = {"comparison": [r.name for r in table.race], "share": [r.fraction for r in table.race]}
    return pd.concat(
        [pd.DataFrame(named), table.drop(columns="race").reset_index(drop=True)], axis=1
    )


def deviations(
    curves: Mapping[str, tuple[Curve, pd.DataFrame]],
    rate: float | None = None,
    after: float | None = None,
) -> pd.DataFrame:
    """One row per printed curve: name → (printed curve, the runs of our counterpart).

    Columns: curve; rate (the stated one, or the tuned), dex there (`Estimate`: decades, the largest
    after iteration `after`, by default over the last 90 % of the axis), diverged (starts);
    nearest_rate of the grid and nearest_dex; single_rate and single_dex: the nearest single start.
    """
    rows = []
    for name, (curve, runs) in curves.items():
        table = printed.deviations(runs, curve, after)
        at, best = printed.stated_and_nearest(runs, table, rate)
        least = table.by_start.map(lambda dexes: min(dexes.values()))
        single = table.rate[least.idxmin()]
        rows.append({
            "curve": name, "rate": at.rate, "dex": at.dex, "diverged": at.diverged,
            "nearest_rate": best.rate, "nearest_dex": best.dex,
            "single_rate": single, "single_dex": least.min(),
        })  # fmt: skip
    return pd.DataFrame(rows)


# ---- verdicts --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Verdicts:
    """A chapter's claims with their verdicts: how many of each outcome, and one line each, linked
    to the page of claims; folded where there are more than three."""

    judged: Sequence[tuple[Claim, Verdict]]

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        lines = [
            f"<li>{MARKS[verdict.outcome]} <em>{verdict.outcome}</em>: "
            f'<a href="40-claims.html#{escape(claim.id)}">{escape(claim.sentence)}</a>'
            + ("" if claim.source == "paper" else f" {escape(NAMES[claim.source])}")
            + "</li>"
            for claim, verdict in self.judged
        ]
        plain = [f"{verdict.outcome}: {claim.sentence}" for claim, verdict in self.judged]
        found = Counter(verdict.outcome for _, verdict in self.judged)
        counts = " · ".join(f"{n} {MARKS[name]} {name}" for name, n in found.most_common())
        opened = " open" if len(lines) <= 3 else ""
        head = f'<details class="verdicts"{opened}><summary>{counts}</summary>'
        html = "\n".join([head, "<ul>", *lines, "</ul></details>"])
        return {"text/html": html, "text/plain": "\n".join(plain)}


def verdicts(runs: Runs, claims: Iterable[Claim]) -> Verdicts:
    """What the recorded runs say of these claims, as a list."""
    return Verdicts([(claim, claim.judge(runs)) for claim in claims])
