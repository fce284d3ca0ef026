"""Predicates about the convolutional network with factored dense layers (Fig. 6 right).

Committed before the runs. The printed curves were known, since they are the claim. The protocol's
base rate is fixed, so is the comparison's; the grid over the base rate tunes it, for one start.
"""

from collections.abc import Iterable, Mapping
from math import inf

import numpy as np
import pandas as pd

from accel_core.intervals import Estimate, median_interval
from accel_core.statistics import ratio
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    REPRODUCED,
    MissingRuns,
    Runs,
    Verdict,
    by_majority,
    claims,
    failure,
    select,
    with_conditions,
)
from report.experiments.convolutional import Convolutional, experiments
from report.minibatch_losses import deviation, gap, iterations_to, speedups

EXPERIMENT = "convolutional"
PRINTED = "paper_curves"  # columns figure, curve, iteration, value
STARTS = 3  # all that the issue asks for: 'every start agrees' has probability 1/4 by chance
GAPS = (1_000, 4_000, 8_500)  # iterations at which the printed gap is taken apart
# The printed original goes from 3.9 to 1.6.
PRINTED_TARGETS = (3.0, 2.5, 2.0)
# From 2.3 (guessing) each about half of the one before.
ENTROPY_TARGETS = (0.5, 0.2, 0.1, 0.05)
TOLERANCE = 0.05  # dex, the issue's
SURE = 10  # one start decides a sign where the gap is so many times what three starts differ by
MORE_PARAMETERS = (1.14, 1.16)


def runs_of(runs: Runs, seeds: Iterable[int] | None = None, **settings: object) -> pd.DataFrame:
    """Rows of the tutorial's protocol but for ``settings``, by seed; all of ``STARTS`` or these.
    ``printed`` is the loss that the tutorial prints."""
    frame, default = runs(EXPERIMENT), Convolutional(factored=True, seed=0)
    protocol = ("penalty", "dropout", "rate", "std")
    wanted = {name: getattr(default, name) for name in protocol} | settings
    std = wanted.pop("dense_std", None)
    frame = frame[frame.dense_std.isna() if std is None else frame.dense_std.eq(std)]
    frame = select(frame, **wanted, seed=list(range(STARTS) if seeds is None else seeds))
    frame = frame.assign(printed=frame.cross_entropy + frame.weight_penalty)
    return frame.set_index("seed").sort_index()


def both(runs: Runs, **settings: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs of the original network and of the factored one."""
    return tuple(runs_of(runs, factored=factored, **settings) for factored in (False, True))


def _judged(networks: tuple[pd.DataFrame, pd.DataFrame], what: str, targets) -> Verdict:
    """Speed-ups above 1 for every start and target: reproduced. Below 1 for half of the targets or
    more: not reproduced. No more than half above 1 in the median: undecided. Else: a condition."""
    column = {"printed loss": "printed", "cross-entropy": "cross_entropy"}[what]
    pairs = list(zip(*(network[column] for network in networks), strict=True))
    found = {f"speed-up to {what} {at:g}": each for at, each in speedups(pairs, targets).items()}
    if not found:
        raise MissingRuns("no run reaches any of the targets")
    above = {name: estimate.median_within(lower=1) for name, estimate in found.items()}
    refuted = sum(estimate.high < 1 for estimate in found.values())
    if outcome := by_majority(sum(above.values()), refuted, len(found)):
        words = f"holds for the median start at {sum(above.values())} of {len(found)} targets"
        return Verdict(outcome, found, words)
    how = {name: failure(above[name]) for name in found if not found[name].within(lower=1)}
    ways = {way: [name for name in how if how[name] == way] for way in how.values()}
    return with_conditions(found, (f"{way} {', '.join(names)}" for way, names in ways.items()))


def faster(runs: Runs) -> Verdict:
    networks = both(runs)
    printed = _judged(networks, "printed loss", PRINTED_TARGETS)
    entropy = _judged(networks, "cross-entropy", ENTROPY_TARGETS)
    pairs = zip(*(network.to_dict("records") for network in networks), strict=True)
    parts = [gap(original, factored, GAPS) for original, factored in pairs]
    shares = np.array([part["cross_entropy"] / part["printed"] for part in parts])
    evidence = {**printed.evidence, **entropy.evidence} | {
        f"share of the gap at {at:,} that is cross-entropy": median_interval(column)
        for at, column in zip(GAPS, shares.T, strict=True)
    }
    if printed.outcome != REPRODUCED:
        return Verdict(printed.outcome, evidence, f"printed loss: {printed.condition}")
    if entropy.outcome != REPRODUCED:
        words = f"for the printed loss, penalty included; cross-entropy: {entropy.condition}"
        return Verdict(CONDITION, evidence, words)
    return Verdict(REPRODUCED, evidence)


def faster_anywhere(runs: Runs) -> Verdict:
    bare = _judged(both(runs, penalty="none", dropout=0.0), "cross-entropy", ENTROPY_TARGETS)
    tutorials = faster(runs)
    evidence = {**tutorials.evidence} | {
        f"{name}, no penalty, no dropout": value for name, value in bare.evidence.items()
    }
    settings = {"in the tutorial's setting": tutorials, "without penalty and dropout": bare}
    told = [
        f"{where}: {verdict.condition or verdict.outcome}" for where, verdict in settings.items()
    ]
    outcomes = {verdict.outcome for verdict in settings.values()}
    if outcomes in ({REPRODUCED}, {NOT_REPRODUCED}):
        words = "" if outcomes == {REPRODUCED} else "; ".join(told)
        return Verdict(outcomes.pop(), evidence, words)
    return Verdict(CONDITION, evidence, "; ".join(told))


def curve_original(runs: Runs) -> tuple[bool, dict]:
    found = deviations(runs, "original", runs_of(runs, factored=False))
    return found.within(upper=TOLERANCE), {"median |dex|": found}


def curve_factored(runs: Runs) -> Verdict:
    found = {
        name: deviations(runs, "overparameterized", runs_of(runs, factored=True, penalty=name))
        for name in ("product", "factors")
    }
    evidence = {f"median |dex|, penalty on {name}": value for name, value in found.items()}
    fitting = [name for name, value in found.items() if value.within(upper=TOLERANCE)]
    if fitting:
        return Verdict(CONDITION, evidence, f"with the penalty on {' or '.join(fitting)}")
    return Verdict(NOT_REPRODUCED, evidence, f"neither reading comes within {TOLERANCE} dex")


def deviations(runs: Runs, curve: str, ours: pd.DataFrame) -> Estimate:
    """Median |log10(ours / printed)| over the last 90 % of the axis, over the starts."""
    printed = select(runs(PRINTED), figure="fig6_convnet", curve=curve)
    off = (deviation(printed.iteration, printed.value, loss) for loss in ours.printed)
    return median_interval([float(np.median(np.abs(each))) for each in off])


def same_gap_rates(runs: Runs) -> Verdict:
    rates = sorted({spec.rate for spec in experiments()["rates"]} | {Convolutional.rate})
    pairs = {f"{rate:g}": both(runs, seeds=[0], rate=rate) for rate in rates}
    return _same_gap(runs, pairs, tuned_speedups(pairs.values()))


def tuned_speedups(pairs: Iterable[tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, Estimate]:
    """Speed-ups to the printed targets, both networks each at its best of the base rates."""
    found, networks = {}, [pd.concat(runs) for runs in zip(*pairs, strict=True)]
    whole = [runs.printed[runs.status.eq("completed")] for runs in networks]
    for target in PRINTED_TARGETS:
        best = [min((iterations_to(loss, target) for loss in each), default=inf) for each in whole]
        if min(best) < inf:
            bounds = ratio(*best, len(networks[0].printed.iloc[0]))
            name = f"speed-up to printed loss {target:g}, base rates tuned"
            found[name] = median_interval(*([bound] for bound in bounds))
    return found


def same_gap_stds(runs: Runs) -> Verdict:
    original, usual = both(runs, seeds=[0])
    stds = sorted(spec.dense_std for spec in experiments()["stds"])
    pairs = {
        f"{s:g}": (original, runs_of(runs, seeds=[0], factored=True, dense_std=s)) for s in stds
    }
    return _same_gap(runs, pairs | {"0.1": (original, usual)}, {})


def _same_gap(runs: Runs, pairs: Mapping[str, tuple], tuned: Mapping[str, Estimate]) -> Verdict:
    """Of one start for each setting, at 4,000 and 8,500. The gap is there where it is more than
    ``SURE`` times what the starts differ by at the tutorial's setting; it is not where the factored
    network diverges and the original does not. For less than half: not reproduced."""
    at, (originals, factoreds) = GAPS[1:], (n.to_dict("records") for n in both(runs))
    starts = [gap(*pair, at)["printed"] for pair in zip(originals, factoreds, strict=True)]
    noise = float(np.ptp(starts, axis=0).max())
    evidence: dict = {"printed gap at the tutorial's setting, largest range of starts": noise}
    held, lost = [], []
    for name, frames in pairs.items():
        original, factored = (frame.iloc[0] for frame in frames)
        if original.status != "completed":
            continue
        if factored.status != "completed":
            lost += [f"{name}, where the factored network diverges"] * len(at)
            continue
        for iteration, value in zip(at, gap(original, factored, at)["printed"], strict=True):
            evidence[f"printed gap at {iteration:,}, {name}"] = float(value)
            (held if value > SURE * noise else lost).append(f"{name} at {iteration:,}")
    if not held + lost:
        raise MissingRuns(f"the original diverges at each of {', '.join(pairs)}")
    for name, estimate in tuned.items():
        (held if estimate.within(lower=1) else lost).append(name)
    if not lost:
        return Verdict(REPRODUCED, evidence | tuned)
    outcome = NOT_REPRODUCED if len(held) < len(lost) else CONDITION
    return Verdict(outcome, evidence | tuned, f"no gap: {'; '.join(dict.fromkeys(lost))}")


def parameters(runs: Runs) -> tuple[bool, dict]:
    from accel_core.convolutional import parameters  # only now: it loads torch

    original, factored = (parameters(factored=value) for value in (False, True))
    evidence = {"original": original, "factored": factored, "ratio": factored / original}
    return MORE_PARAMETERS[0] <= factored / original <= MORE_PARAMETERS[1], evidence


CLAIMS = claims("convolutional", {
    "convolutional-parameters": parameters,
    "convolutional-faster": faster,
    "convolutional-curve-original": curve_original,
    "convolutional-curve-factored": curve_factored,
    "convolutional-rates": same_gap_rates,
    "convolutional-stds": same_gap_stds,
    "convolutional-bare": faster_anywhere,
})  # fmt: skip
