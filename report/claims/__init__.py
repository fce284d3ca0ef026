"""Every testable sentence of the sources, its criterion, and the verdict that the record gives."""

from collections.abc import Iterable, Mapping

import pandas as pd

from report.claims import (
    ava,
    blogs,
    convolutional,
    emulation,
    explicit,
    identity,
    levy_wang,
    theory,
    tuned_rates,
)
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    OUTCOMES,
    REPRODUCED,
    SOURCES,
    UNTESTED,
    Claim,
    MissingRuns,
    Runs,
    Verdict,
)

__all__ = [
    "CLAIMS",
    "CONDITION",
    "NOT_REPRODUCED",
    "OUTCOMES",
    "REPRODUCED",
    "SOURCES",
    "UNTESTED",
    "Claim",
    "MissingRuns",
    "Runs",
    "Verdict",
    "table",
]


def _assembled(*chapters: Iterable[Claim]) -> tuple[Claim, ...]:
    claims = tuple(claim for chapter in chapters for claim in chapter)
    ids = [claim.id for claim in claims]
    repeated = sorted({id for id in ids if ids.count(id) > 1})
    if repeated:
        raise ValueError(f"claim ids {repeated} occur more than once: rename one of each")
    return claims


#: Every claim of every source.
CLAIMS = _assembled(
    tuned_rates.CLAIMS,
    levy_wang.CLAIMS,
    ava.CLAIMS,
    blogs.CLAIMS,
    emulation.CLAIMS,
    explicit.CLAIMS,
    identity.CLAIMS,
    convolutional.CLAIMS,
    theory.CLAIMS,
)


def table(
    runs: Mapping[str, pd.DataFrame] | Runs, claims: Iterable[Claim] = CLAIMS
) -> pd.DataFrame:
    """One row per claim: id, source, place, sentence, chapter, outcome, condition, evidence (a
    mapping).

    `runs`: experiment name → run table. Claims whose runs are missing stay, as 'cannot be tested'.
    """
    rows = []
    for claim in claims:
        verdict = claim.judge(runs)
        rows.append(
            {
                "id": claim.id,
                "source": claim.source,
                "place": claim.place,
                "sentence": claim.sentence,
                "chapter": claim.chapter,
                "outcome": verdict.outcome,
                "condition": verdict.condition,
                "evidence": dict(verdict.evidence),
            }
        )
    return pd.DataFrame(rows)
