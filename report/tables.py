"""The typed tables that several chapters show; their numbers become text here alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product

import pandas as pd

from accel_core import statistics
from report.claims import printed
from report.claims.base import Claim, Runs, Verdict
from report.claims.page import MARKS, NAMES
from report.claims.printed import Curve
from report.claims.races import target
from report.figure_data import NUMBERS
from report.formats import number, together

__all__ = ["Table", "deviations", "number", "races", "show", "speedups", "verdicts"]


# ---- tables ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """What `show` returns: IPython displays it as HTML, with its CSV where the book asks for it."""

    shown: pd.DataFrame
    formats: Mapping[str, str | int | Callable]
    full: pd.DataFrame

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        cells = self.shown.rename_axis(columns=None).astype(object)
        for column in cells:
            form = self.formats.get(column, 3)
            if isinstance(form, int):
                cells[column] = together(list(cells[column]), form)
            elif isinstance(form, str):
                cells[column] = [form.format(value).replace("-", "−") for value in cells[column]]
            else:
                cells[column] = cells[column].map(form)
        html = cells.to_html(index=False, border=0, justify="left")
        html = html.replace(" × 10", "&nbsp;×&nbsp;10")  # a power of ten stays in its line
        bundle = {"text/html": html, "text/plain": f"{len(cells)} rows"}
        if os.environ.get("ACCEL_FIGURE_DATA"):
            bundle[NUMBERS] = self.full.to_csv(index=False)
        return bundle


def show(
    table: pd.DataFrame,
    formats: Mapping[str, str | int | Callable] | None = None,
    full: pd.DataFrame | None = None,
    columns: Mapping[str, str] | None = None,
) -> Table:
    """A table as a page's output; the one place where its numbers are formatted.

    `formats` gives a column's format: as in "{:.2f}", a function, or how many significant digits
    its numbers have (otherwise three), which are written alike (`formats.together`).
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
