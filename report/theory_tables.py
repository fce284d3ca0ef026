"""Checks of the paper's statements as a page shows them."""

from collections.abc import Iterable

import pandas as pd

from report import tables
from report.theory_checks import Check

#: How the book calls what a label stands for.
TITLES = {
    "thm-warmup": "Warm-up, exact step",
    "thm-memory": "Warm-up, memory",
    "thm-balance": "Theorem 1, balancedness",
    "thm-drift": "Drift of one step",
    "thm-end-to-end": "Theorem 1, dynamics",
    "thm-preconditioner": "Claim 1, matrix",
    "thm-spectrum": "Claim 1, spectrum",
    "thm-one-output": "Claim 2",
    "thm-emulation": "Emulation",
    "thm-decay-potential": "Weight decay",
    "thm-no-regularizer": "Theorem 2, constant",
    "thm-lower-bound": "Theorem 2, bound",
    "thm-curl": "Theorem 2, curl",
    "thm-two-layers": "Two layers",
    "thm-monotone-rate": "Monotone rate",
    "thm-crawl": "Crawl",
    "thm-escape": "Escape time",
    "thm-decay-threshold": "The trap at zero",
    "thm-unbalanced": "Unbalanced bound",
    "eq-two-points": "Compiled step",
}

#: Where the paper has what a label stands for; statements without an entry are this book's.
PAPER = {
    "thm-warmup": "section 3",
    "thm-balance": "Theorem 1",
    "thm-end-to-end": "Theorem 1",
    "thm-preconditioner": "Claim 1",
    "thm-spectrum": "Claim 1",
    "thm-one-output": "Claim 2",
    "thm-no-regularizer": "Theorem 2",
    "thm-lower-bound": "Theorem 2, proof",
}


def outcomes(checks: Iterable[Check]) -> pd.DataFrame:
    """One row a statement: statement, paper, cases and within (cases within their tolerance).

    Errors are not among the columns: they are rounding, whose digits differ by processor.
    """
    frame = pd.DataFrame([{"label": it.statement, "holds": it.holds} for it in checks])
    groups = frame.groupby("label", sort=False).holds
    table = groups.agg(cases="count", within="sum").reset_index()
    table.insert(0, "statement", table.label.map(TITLES))
    table.insert(1, "paper", table.label.map(PAPER).fillna("ours"))
    return table.drop(columns="label")


def show(*checks: Check | Iterable[Check]) -> tables.Table:
    """The outcomes of checks, and of groups of checks, as a page's output."""
    flat = [it for item in checks for it in ([item] if isinstance(item, Check) else item)]
    heads = {"statement": "statement", "paper": "in the paper", "cases": "cases drawn"}
    return tables.show(outcomes(flat), columns=heads | {"within": "within their tolerance"})
