"""The claims as a page shows them: counts by source, and a list that filters by source and verdict.

A list of folded entries, not a wide table: it reads on a phone, without scripts, and in print; the
script only hides what is filtered out. No colour carries meaning that a word does not.
"""

from collections.abc import Collection, Mapping
from html import escape

import pandas as pd

from accel_core.intervals import Estimate
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    OUTCOMES,
    REPRODUCED,
    SOURCES,
    UNDECIDED,
    UNTESTED,
)
from report.paths import BOOK, NOTEBOOKS

NAMES = {
    "paper": "Arora, Cohen, Hazan (2018)",
    "levy-wang": "Levy, Wang (2024)",
    "ava": "Ava (2024)",
    "blog-2023": "Wang's blog (2023)",
    "blog-2024": "Wang's blog (2024)",
    "ours": "Our own predictions",
}
MARKS = {REPRODUCED: "✓", CONDITION: "◐", UNDECIDED: "~", NOT_REPRODUCED: "✗", UNTESTED: "?"}
CURVES = "printed curves"  # the row of `summary` that counts them
SCRIPT = BOOK / "static" / "claims.js"


class Page:
    """What `claims.page` returns: HTML for the book, Markdown where HTML is not shown."""

    def __init__(self, table: pd.DataFrame, linked: Collection[str]) -> None:
        """Keep the table of `claims.table`, and the chapters that exist to be linked to."""
        self.table, self.linked = table, frozenset(linked)

    def _repr_html_(self) -> str:
        sources = {source: NAMES[source] for source in SOURCES if source in set(self.table.source)}
        entries = "\n".join(self._section(source) for source in sources)
        filters = _filter("source", "Source", sources) + _filter(
            "outcome", "Verdict", {outcome: f"{MARKS[outcome]} {outcome}" for outcome in OUTCOMES}
        )
        # autocomplete off: a browser must not keep a filter over a reload and hide entries by it
        return (
            f'<div class="claims"><form hidden autocomplete="off">{filters} '
            f'<output aria-live="polite"></output></form>\n{entries}</div>\n'
            f"<script>\n{SCRIPT.read_text(encoding='utf8')}</script>"
        )

    def _section(self, source: str) -> str:
        own = self.table[self.table.source.eq(source)]
        entries = "\n".join(_entry(row, self.linked) for row in own.itertuples())
        return f"<section><h3>{escape(NAMES[source])}</h3>\n{entries}</section>"

    def _repr_markdown_(self) -> str:
        lines = ["| verdict | source | claim | condition or reason |", "|---|---|---|---|"]
        lines += [
            f"| {MARKS[row.outcome]} {row.outcome} | {NAMES[row.source]}, {_cell(row.place)} "
            f"| {_cell(row.sentence)} | {_cell(row.condition)} |"
            for row in self.table.itertuples()
        ]
        return "\n".join(lines)


def page(table: pd.DataFrame) -> Page:
    """Show `claims.table`, or some of its rows, at the end of a notebook's cell.

    An entry's id is the claim's, and leads to it: `40-claims.html#tuned-l4-depth3` opens it. Each
    links to the chapter that shows its runs, where there is such a page beside this one.
    """
    return Page(table, {path.stem for path in NOTEBOOKS.glob("[0-9][0-9]-*.md")})


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Count sentences: a row per source, one for all, in which what repeats another sentence counts
    once, and one for the printed curves; a column per outcome, zeros kept."""
    curves = table.id.str.contains("-curve-")
    once = table.repeats.eq("")
    groups = {NAMES[s]: table.source.eq(s) & ~curves for s in SOURCES if s in set(table.source)}
    groups |= {CURVES: curves, "all": ~curves & once}
    return (
        pd.DataFrame(
            {
                name: table[of].outcome.value_counts().reindex(OUTCOMES)
                for name, of in groups.items()
            }
        )
        .T.fillna(0)
        .astype(int)
    )


def _entry(row, linked: frozenset[str]) -> str:
    chapter = escape(row.chapter)
    if row.chapter in linked:
        chapter = f'<a href="{chapter}.html">{chapter}</a>'
    condition = f"<p>{escape(row.condition)}</p>" if row.condition else ""
    asks = f"<p><em>Asked:</em> {escape(row.asks)}</p>" if row.asks else ""
    if row.repeats:
        first = escape(row.repeats)
        asks = f'<p><em>Said before:</em> <a href="#{first}">{first}</a>.</p>'
    return (
        f'<details class="claim" id="{escape(row.id)}" data-source="{escape(row.source)}" '
        f'data-outcome="{escape(row.outcome)}"><summary>{MARKS[row.outcome]} '
        f"{escape(row.sentence)} <em>{escape(row.outcome)}</em></summary>{condition}{asks}"
        f"{_evidence(row.evidence)}<p>{escape(NAMES[row.source])}, {escape(row.place)}. "
        f'Chapter {chapter}. <a href="#{escape(row.id)}">Link to this claim</a>.</p></details>'
    )


def _evidence(evidence: Mapping[str, object]) -> str:
    if not evidence:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(number(value))}</td></tr>"
        for name, value in evidence.items()
    )
    coverages = sorted({v.coverage for v in evidence.values() if isinstance(v, Estimate)})
    said = ", ".join(f"{coverage:.1%}" for coverage in coverages)
    note = f"<p>Median over starts [interval that covers it with {said}].</p>" if said else ""
    return f"<table><tbody>{rows}</tbody></table>{note}"


def number(value: object) -> str:
    """Three digits for a number; an `Estimate`, or anything else, as it renders itself."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _filter(name: str, label: str, choices: Mapping[str, str]) -> str:
    options = "".join(
        f'<option value="{escape(value)}">{escape(text)}</option>'
        for value, text in choices.items()
    )
    every = '<option value="">all</option>'
    return f'<label>{label} <select name="{name}">{every}{options}</select></label> '


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
