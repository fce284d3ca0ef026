"""Predicates about depth 1, 4, 8 from near-zero and from identity-offset starts, ℓ4 on ethanol,
100,000 iterations, each at its best rate of the grid.

Committed before the runs. The printed curves' own speed-ups are computed by this module's test.
Near zero the printed depth 8 stays at its first value, depth 4 leaves it after 60,000 iterations.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from accel_core.intervals import median_interval
from report.claims import printed, races
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    Criterion,
    Runs,
    Verdict,
    claims,
    select,
    with_conditions,
)
from report.claims.explicit import FIRST_WRITTEN
from report.claims.races import Race, all_starts

EXPERIMENT, WIDE = "identity", "identity_wide"
WIDTHS = {"at width 1": EXPERIMENT, "at width 128": WIDE}
NEAR_ZERO, IDENTITY = "NearZero(std=0.01)", "IdentityOffset(std=0.01)"
NAMES = {NEAR_ZERO: "near zero", IDENTITY: "identity offset"}

LATE = (0.4, 0.8)
# A run 'fails' that diverges or still has nine tenths of its first distance at the budget. The
# printed depth 4, which the paper does not call a failure, is at 0.84.
FAILED = 0.9

# printed curve → columns that select its model
CURVES = {
    "depth1": {"depth": 1, "start": NEAR_ZERO},
    "depth4": {"depth": 4, "start": NEAR_ZERO},
    "depth8": {"depth": 8, "start": NEAR_ZERO},
    "depth4_identity": {"depth": 4, "start": IDENTITY},
    "depth8_identity": {"depth": 8, "start": IDENTITY},
}


def words(curve: str) -> str:
    """What the model of a printed curve is called."""
    depth, start = CURVES[curve].values()
    return f"depth {depth} ({NAMES[start]})" if depth > 1 else "depth 1"


def identity_races(*pairs: Sequence[str], fractions=LATE) -> list[Race]:
    """The first model of each pair over the second; the single layer's targets."""
    return [
        Race(f"{words(one)} over {words(other)}", CURVES[one], CURVES[other], fraction,
             lower=1, reference=CURVES["depth1"])
        for one, other in pairs
        for fraction in fractions
    ]  # fmt: skip


def faster(pair: Sequence[str]) -> Criterion:
    """The first of the pair needs fewer iterations than the second."""
    own = identity_races(pair)
    return races.raced(EXPERIMENT, own, {"at width 128": (WIDE, own)})


def remains(run) -> float:
    """Share of the first distance that is left at the budget; infinite for a diverged run."""
    return run.distance[-1] / run.distance[0] if run.status == "completed" else np.inf


def depth8_fails(runs: Runs) -> Verdict:
    """No rate of the grid trains depth 8 from near zero: every start, and at width 128 too."""
    evidence, conditions = {}, []
    for phrase, name in WIDTHS.items():
        model = all_starts(select(runs(name), **CURVES["depth8"]))
        by_rate = pd.Series(map(remains, model.itertuples())).ge(FAILED).groupby(model.rate.values)
        failed, of = by_rate.sum(), by_rate.size()
        count = int(failed.sum()), int(of.sum())
        low, high = binomtest(*count).proportion_ci(method="exact")
        evidence[f"failed, {phrase}"] = (
            f"{failed.sum()} of {of.sum()} runs: {count[0] / count[1]:.0%} [{low:.0%}, {high:.0%}]"
        )
        alive = (of - failed)[failed < of]
        if alive.empty:
            continue
        evidence[f"trained starts by rate, {phrase}"] = ", ".join(
            f"{rate:g}: {count} of {of[rate]}" for rate, count in alive.items()
        )
        # A rate trains the model when most of its starts do.
        trained = ", ".join(f"{rate:g}" for rate in alive.index[alive > of[alive.index] / 2])
        if trained and name == EXPERIMENT:
            reason = f"most starts train {phrase} at the rates {trained}"
            return Verdict(NOT_REPRODUCED, evidence, reason)
        most = f"{phrase} most starts train at {trained}"
        conditions.append(most if trained else f"single starts train {phrase}")
    return with_conditions(evidence, conditions)


def rescued(runs: Runs) -> Verdict:
    """At its tuned rate depth 8 from the identity offset does not fail, for every start."""
    evidence, conditions = {}, []
    for phrase, name in WIDTHS.items():
        tuned = races.tuned_runs(runs(name), CURVES["depth8_identity"])
        left = [remains(run) for run in tuned.itertuples()]
        where = f"share of the first distance left, rate {tuned.rate.iloc[0]:g}, {phrase}"
        evidence[where] = median_interval(left)
        median = np.median(left) < FAILED
        if not median and name == EXPERIMENT:
            return Verdict(NOT_REPRODUCED, evidence, "fails for the median start")
        if max(left) >= FAILED:
            conditions.append(f"{'for the median start only' if median else 'not'} {phrase}")
    return with_conditions(evidence, conditions)


def curve_matches(runs: Runs, curve: str) -> Verdict:
    """The tuned median start of width 1, over the last 90 % of the axis; else width 128; else
    single starts."""
    own = select(runs(EXPERIMENT), **CURVES[curve])
    wide = {} if curve == "depth1" else {"width 128": select(runs(WIDE), **CURVES[curve])}
    reference = printed.printed_curve(runs, "fig6_identity_l4", curve)
    verdict = printed.match(reference, {"width 1": own} | wide)
    table = printed.deviations(own, reference)
    near = [sum(np.array([*starts.values()]) <= printed.ALLOWED) for starts in table.by_start]
    if verdict.outcome != NOT_REPRODUCED or not max(near):
        return verdict
    best = table.iloc[int(np.argmax(near))]
    words = f"with {max(near)} of {best.dex.n} starts at the rate {best.rate:g}"
    return Verdict(CONDITION, {**verdict.evidence, FIRST_WRITTEN: verdict.outcome}, words)


CLAIMS = claims(
    "identity",
    {"identity-depth8-fails": depth8_fails, "identity-rescues-depth8": rescued},
    faster=faster,
    curve=lambda name: partial(curve_matches, curve=name),
)
