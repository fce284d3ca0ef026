"""Every testable sentence of the sources, its criterion, and the verdict that the record gives."""

import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module

import pandas as pd

from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    OUTCOMES,
    REPRODUCED,
    SOURCES,
    UNDECIDED,
    UNTESTED,
    Claim,
    MissingRuns,
    Runs,
    Verdict,
)

__all__ = ["CLAIMS", "CONDITION", "NOT_REPRODUCED", "OUTCOMES", "REPRODUCED", "SOURCES",
           "UNDECIDED", "UNTESTED", "Claim", "MissingRuns", "Runs", "Verdict", "table"]  # fmt: skip


def _assembled(*chapters: Iterable[Claim]) -> tuple[Claim, ...]:
    claims = tuple(claim for chapter in chapters for claim in chapter)
    ids = [claim.id for claim in claims]
    repeated = sorted({id for id in ids if ids.count(id) > 1})
    if repeated:
        raise ValueError(f"claim ids {repeated} occur more than once: rename one of each")
    return claims


# A new chapter's claims are a module of this package with a tuple CLAIMS, and nothing else.
_MODULES = [import_module(f"{__name__}.{it.name}") for it in pkgutil.iter_modules(__path__)]

#: Every claim of every source.
CLAIMS = _assembled(*(module.CLAIMS for module in _MODULES if hasattr(module, "CLAIMS")))


def table(
    runs: Mapping[str, pd.DataFrame] | Runs, claims: Iterable[Claim] = CLAIMS
) -> pd.DataFrame:
    """One row per claim: its words (id, source, place, sentence, chapter, asks, repeats), and its
    verdict (outcome, condition, evidence, a mapping).

    `runs`: experiment name → run table. Claims whose runs are missing stay, as 'cannot be tested'.
    """
    told = ("id", "source", "place", "sentence", "chapter", "asks", "repeats")
    rows = []
    for claim in claims:
        words = {name: getattr(claim, name) for name in told}
        rows.append(words | vars(claim.judge(runs)))
    return pd.DataFrame(rows)
