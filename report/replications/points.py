"""What the paper and its replication got right, left out and missed: each point tied to claims.

A point is a sentence of ours with the ids of the claims that it rests on; the page shows the
verdicts that the record gives these claims now. `expected` says which outcomes the sentence speaks
of: where the record says otherwise, the point is marked as standing no longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, UNTESTED, Claim, Runs
from report.claims.page import MARKS

__all__ = ["POINTS", "Point", "points_table", "tally"]

HOLDS, FAILS = (REPRODUCED, CONDITION), (NOT_REPRODUCED, CONDITION)


@dataclass(frozen=True)
class Point:
    """`heading`: whose, and right, left out or missed; `claims`: ids, each with its outcomes."""

    heading: str
    sentence: str
    claims: tuple[str, ...]
    expected: tuple[str, ...] = HOLDS


RIGHT, OUT = "What the paper got right", "What the paper left out"
THEIRS, MISSED = "What the replication got right", "What the replication missed"
#: What each side got right, and what it missed.
POINTS = (
    Point(
        RIGHT, "The theorems hold: balance, the end-to-end rule, its spectrum, no regularizer.",
        ("theory-balancedness", "theory-end-to-end", "theory-spectrum", "theory-no-regularizer"),
    ),
    Point(RIGHT, "At ℓ2 depth slows training.", ("tuned-l2-hinders",)),
    Point(RIGHT, "At ℓ4 depth 2 accelerates.", ("tuned-l4-depth2",)),
    Point(RIGHT, "The loss decides whether depth helps.", ("tuned-loss-decides",)),
    Point(
        RIGHT, "An identity start helps deep networks.",
        ("ava-identity", "identity-over-near-zero"),
    ),
    Point(RIGHT, "Claim 2's rule on one layer follows the networks.", ("emulation-same",)),
    Point(RIGHT, "At ℓ4 depth speeds Adam up too.", ("explicit-adam", "explicit-adam-a-lot")),
    Point(
        RIGHT, "Near zero depth 8 trains at no rate, from an identity start it does.",
        ("identity-depth8-fails", "identity-rescues-depth8"),
    ),
    Point(
        RIGHT, "Both curves of the convolutional network can be had.",
        ("convolutional-curve-original", "convolutional-curve-factored"),
    ),
    Point(OUT, "Depth 3 is not faster than depth 2 throughout.", ("tuned-l4-order",), FAILS),
    Point(OUT, "Printed curves that no rate of the grid gives.", ("tuned-curve-l4-depth1",), FAILS),
    Point(
        OUT, "Printed curves of adaptive rules that no rate of the grid gives.",
        ("explicit-curve-adagrad-depth1", "explicit-curve-adadelta-depth1",
         "explicit-curve-adam-depth1"), FAILS,
    ),
    Point(
        OUT, "At ℓ4 the printed curves of the emulation are those of a tenth of the stated rate.",
        ("emulation-curve-l4-depth2-width1", "emulation-curve-l4-depth3-width100"), FAILS,
    ),
    Point(OUT, "AdaDelta on one layer outruns depth 3.", ("explicit-adadelta",), FAILS),
    Point(OUT, "From an identity start depth 8 is not faster than 4.", ("identity-deeper",), FAILS),
    Point(
        OUT, "The convolutional network's gain is in the weight penalty, not the cross-entropy.",
        ("convolutional-faster", "convolutional-bare"), FAILS,
    ),
    Point(
        OUT, "In the example of two points the gain is a constant, not another exponent.",
        ("theory-two-points",), FAILS,
    ),
    Point(OUT, "From near zero, not balanced, width is not negligible.", ("ava-width",), FAILS),
    Point(THEIRS, "On ethanol at ℓ2 one layer wins.", ("lw-ethanol-one-layer",)),
    Point(
        THEIRS, "Two draws order two networks differently more often than once in ten.",
        ("lw-stochastic",),
    ),
    Point(THEIRS, "The bursts are there.", ("lw-bursts",)),
    Point(THEIRS, "The outcome depends on data and start.", ("lw-depends",)),
    Point(THEIRS, "Adam ends lower, whatever the depth.", ("lw-adam-better",)),
    Point(
        MISSED, "On Abalone not every deeper network is consistently better.",
        ("lw-abalone-deeper",), FAILS,
    ),
    Point(
        MISSED, "Near zero is balanced nowhere, near identity at width 1 only.",
        ("lw-near-zero-balanced", "lw-near-identity-balanced"), FAILS,
    ),
    Point(MISSED, "The printed condition is not the theorem's.", ("lw-condition-printed",), FAILS),
    Point(
        MISSED, "What they found on ethanol is what the paper says of ℓ2.",
        ("lw-differs-from-paper",), FAILS,
    ),
)  # fmt: skip


def points_table(runs: Runs, claims: Sequence[Claim], heading: str) -> pd.DataFrame:
    """The points under a heading: the sentence, the claims' verdicts, and whether it stands."""
    by_id = {claim.id: claim for claim in claims}
    rows = []
    for point in POINTS:
        if point.heading != heading:
            continue
        verdicts = [by_id[id].judge(runs) for id in point.claims]
        untested = any(v.outcome == UNTESTED for v in verdicts)
        stands = all(v.outcome in point.expected for v in verdicts)
        rows.append(
            {
                "point": point.sentence,
                "rests on": "; ".join(
                    f"{by_id[id].sentence} {MARKS[v.outcome]} {v.outcome} ({by_id[id].chapter})"
                    for id, v in zip(point.claims, verdicts, strict=True)
                ),
                "stands": "not tested here" if untested else "yes" if stands else "no longer",
            }
        )
    return pd.DataFrame(rows)


def tally(runs: Runs, claims: Sequence[Claim]) -> str:
    """How many of all claims of the paper and of the replication came out, in words."""
    told = []
    for source, whose in (("paper", "the paper's"), ("levy-wang", "Levy & Wang's")):
        found = Counter(claim.judge(runs).outcome for claim in claims if claim.source == source)
        untested = f", {found[UNTESTED]} not tested here" if found[UNTESTED] else ""
        told.append(
            f"of {whose} {found.total()} claims {found[REPRODUCED]} are reproduced, "
            f"{found[CONDITION]} with a condition, {found[NOT_REPRODUCED]} not{untested}"
        )
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."
