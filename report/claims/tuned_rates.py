"""Predicates about depth 1, 2, 3 on ethanol, each with its best rate: ℓ2 and ℓ4, 1,000,000
iterations.

Committed before the runs. The printed curves were known, since they are the claim; where a
threshold is taken from them, the comment beside it says so. A test computes their own speed-ups,
and judges them by these criteria: each sentence of the paper is 'reproduced' by its own figure, but
for the order at ℓ4, which the early targets reverse.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from accel_core.curves import arrival
from accel_core.statistics import gain_at_budget
from report.claims import printed, races
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    UNDECIDED,
    Criterion,
    Runs,
    Verdict,
    claims,
    select,
    with_conditions,
)
from report.claims.races import MAJORITY, Race, all_starts, depths, race_table

EXPERIMENT = "tuned_rates"
VARIANTS = {
    "on a grid ten times finer": "tuned_rates_fine",
    "without the six outlier rows": "tuned_rates_trimmed",
}

# Each threshold, and why it is what it is, stands with its claim, in book/claims/tuned_rates.toml.
LATE = (0.4, 0.8)  # shares of the budget: targets are the single layer's there
# dex, and the iteration from which on: depth 1 at ℓ2; other curves; depth 2 and 3 at ℓ2; at ℓ4
SINGLE_LAYER_DEX, SINGLE_LAYER_AFTER, OTHER_DEX = 0.01, 20_000, 0.05
DEEP_L2_AFTER, L4_AFTER = 400_000, 100_000


def gains(
    p: float, deep: Sequence[int], over: int = 1, at: Sequence[float] = LATE, **bounds: float
) -> list[Race]:
    """Each depth over the other one, at these shares of the budget."""
    return [depths(p, depth, over, share, **bounds) for depth in deep for share in at]


def raced(told: Sequence[Mapping]) -> Criterion:
    """The races that these options of `gains` name, on the paper's grid and in both variants."""
    compared = [race for options in told for race in gains(**options)]
    variants = {phrase: (name, compared) for phrase, name in VARIANTS.items()}
    return races.raced(EXPERIMENT, compared, variants, reach=arrival)


def ordered(p: float, at: Sequence[float], **bounds: float) -> Criterion:
    """Depth 2 over 1 and 3 over 2: at the end of the budget, and on the way there."""
    ladder = [(2, 1), (3, 2)]
    on_the_way = raced([{"p": p, "deep": [n], "over": m, "at": at} | bounds for n, m in ladder])

    def criterion(runs: Runs) -> Verdict:
        evidence, failed = {}, []
        for deep, over in ladder:
            pair = all_starts(select(runs(EXPERIMENT), p=p, depth=[deep, over]))
            gain = gain_at_budget(pair, baseline={"depth": over}).speedup.iloc[0]
            name = f"depth {deep} over {over}, ℓ{p:g}, ratio of distances at the end"
            evidence[name] = gain
            if not gain.within(**bounds):
                failed.append(name)
        if failed:
            return Verdict(NOT_REPRODUCED, evidence, f"not for every start: {' · '.join(failed)}")
        verdict = on_the_way(runs)
        outcome, words = verdict.outcome, verdict.condition
        if outcome in (
            UNDECIDED,
            NOT_REPRODUCED,
        ):  # the end was shown above: what fails is the way there
            outcome, words = CONDITION, f"at the end of the budget only; on the way it {words}"
        return Verdict(outcome, evidence | verdict.evidence, words)

    return criterion


def loss_decides(runs: Runs) -> Verdict:
    """Each comparison's ℓ4 interval lies above its ℓ2 one."""
    evidence, conditions = {}, []
    for phrase, name in ({"": EXPERIMENT} | VARIANTS).items():
        failed = _meeting(runs(name), phrase, evidence)
        if not phrase and len(failed) > (1 - MAJORITY) * 2 * len(LATE):
            return Verdict(NOT_REPRODUCED, evidence, f"intervals meet: {' · '.join(failed)}")
        if failed:
            conditions.append(f"{phrase} intervals meet: {' · '.join(failed)}".strip())
    return with_conditions(evidence, conditions)


def _meeting(frame: pd.DataFrame, phrase: str, evidence: dict[str, object]) -> list[str]:
    """Comparisons whose ℓ4 interval is not above the ℓ2 one; adds all of them to the evidence."""
    failed = []
    for depth in (2, 3):
        for share in LATE:
            pair = [depths(p, depth, 1, share) for p in (2, 4)]
            found = race_table(frame, pair, reach=arrival).speedup
            for race, gain in zip(pair, found, strict=True):
                evidence[f"{race}, {phrase}" if phrase else str(race)] = gain
            if not found[1].low > found[0].high:
                failed.append(f"depth {depth} ({share:.0%} of the budget)")
    return failed


def universal(runs: Runs) -> tuple[bool, dict]:
    races = [*gains(2, (2, 3), lower=1), *gains(4, (2, 3), lower=1)]
    found = race_table(runs(EXPERIMENT), races, reach=arrival).speedup
    refuted = any(race.refuted(gain) for race, gain in zip(races, found, strict=True))
    return not refuted, {str(race): gain for race, gain in zip(races, found, strict=True)}


def after(p: float, depth: int) -> int:
    """The iteration from which on a printed curve is compared."""
    return L4_AFTER if p == 4 else SINGLE_LAYER_AFTER if depth == 1 else DEEP_L2_AFTER


def curve_matches(runs: Runs, p: int, depth: int) -> Verdict:
    """Deviation of the median start from the printed curve: tuned rate, else any of the grid."""
    allowed = SINGLE_LAYER_DEX if (p, depth) == (2, 1) else OTHER_DEX
    curve = printed.printed_curve(runs, f"fig4_l{p}", f"depth{depth}")
    model = select(runs(EXPERIMENT), p=p, depth=depth)
    return printed.match_tuned(model, curve, after(p, depth), allowed)


CLAIMS = claims(
    "tuned_rates",
    {"tuned-loss-decides": loss_decides, "tuned-blog-2024-universal": universal},
    races=raced,
    order=lambda told: ordered(**told),
    curve=lambda told: partial(curve_matches, **told),
)
