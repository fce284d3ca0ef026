"""The claims as a page shows them: counts by source, and a list that filters by source and verdict.

The list's HTML is `book/claims/page.html.j2`.
"""

import math
from collections.abc import Collection, Mapping
from html import escape

import jinja2
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
from report.formats import number, words
from report.paths import BOOK, NOTEBOOKS, WORDS

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
        pages = jinja2.Environment(
            loader=jinja2.FileSystemLoader(WORDS), undefined=jinja2.StrictUndefined
        )
        pages.filters |= {"e": escape, "words": words}
        sources = {source: NAMES[source] for source in SOURCES if source in set(self.table.source)}
        return pages.get_template("page.html.j2").render(
            table=self.table, linked=self.linked, marks=MARKS, names=NAMES, number=number,
            sources=sources, outcomes={each: f"{MARKS[each]} {each}" for each in OUTCOMES},
            notes=_notes, said=dict(zip(self.table.id, self.table.sentence, strict=True)),
            script=SCRIPT.read_text(encoding="utf8"),
        )  # fmt: skip

    def _repr_markdown_(self) -> str:
        lines = ["| verdict | source | claim | condition or reason |", "|---|---|---|---|"]
        lines += [
            f"| {MARKS[row.outcome]} {row.outcome} | {NAMES[row.source]}, {_cell(row.place)} "
            f"| {_cell(row.sentence)} | {_cell(words(row.condition))} |"
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
    groups = {NAMES[s]: table.source.eq(s) & ~curves for s in SOURCES if s in set(table.source)}
    groups |= {CURVES: curves, "all": ~curves & table.repeats.eq("")}
    counts = {name: table[of].outcome.value_counts() for name, of in groups.items()}
    return pd.DataFrame(counts).T.reindex(columns=OUTCOMES).fillna(0).astype(int)


def _notes(evidence: Mapping[str, object]) -> str:
    """What one has to know to read a claim's numbers."""
    found = [value for value in evidence.values() if isinstance(value, Estimate)]
    covered = sorted({f"{value.coverage:.1%}" for value in found if value.n > 1})
    told = {
        f"Median [interval that covers it with {', '.join(covered)}].": covered,
        "A number without an interval is that of one start.": any(v.n == 1 for v in found),
        "∞: the runs diverge, or never get there.": any(v.high == math.inf for v in found),
    }
    return " ".join(note for note, applies in told.items() if applies)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
