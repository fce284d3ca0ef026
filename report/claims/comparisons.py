"""Criteria of the kind "A needs fewer iterations than B", asked at several targets and on several
grids.

An instance is one comparison: depth against depth, for one loss, at one target. It *holds* when
the whole interval of the paired speed-up lies inside the claimed range (for five starts: every
start agrees), holds *for the median* when only the median does, and fails otherwise. A claim is

- reproduced, when every instance holds, on the source's own grid and in every variant;
- not reproduced, when less than half of its instances hold on the source's grid even for the
  median;
- reproduced with a condition in between; the condition lists what fails.

All instances must hold for 'reproduced' (intersection–union), so several targets need no
correction.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accel_core.intervals import Estimate
from accel_core.statistics import distance_at, speedup, tune
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    REPRODUCED,
    MissingRuns,
    Runs,
    Verdict,
    failure,
    select,
)

# The protocol's starts. With fewer than five, 'all starts agree' is likelier than 1 in 16 by
# chance alone.
STARTS = 5
# A sentence of which fewer than half of the instances hold is not called reproduced.
MAJORITY = 0.5


@dataclass(frozen=True)
class Instance:
    """The claim that depth `depth` is between `lower` and `upper` times as fast as depth `over`."""

    p: float
    depth: int
    over: int
    fraction: float  # of the budget: the target is where the single layer is by then
    lower: float = -math.inf
    upper: float = math.inf

    @property
    def models(self) -> str:
        """What is compared with what, on which loss."""
        return f"depth {self.depth} over {self.over} at ℓ{self.p:g}"

    def __str__(self) -> str:
        """Name it in words."""
        return f"{self.models}, target: single layer at {self.fraction:.0%} of the budget"


def all_starts(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs, or raise MissingRuns where they are of fewer starts than the protocol's."""
    if runs.seed.nunique() < STARTS:
        raise MissingRuns(f"{runs.seed.nunique()} starts of {STARTS} are in the record")
    return runs


def single_layer_target(runs: pd.DataFrame, fraction: float) -> float:
    """Distance of the tuned single layer (median over starts) after this fraction of the budget.

    A target from the runs themselves, so that it exists for every data set: "how long until the
    model is where one layer is by then?" The printed curves' own numbers would be censored
    wherever ours differ.
    """
    layer = select(runs, depth=1)
    (rate,) = tune(layer).rate
    chosen = layer[layer.rate.eq(rate)]
    at = fraction * layer.budget.iloc[0]
    return float(
        np.median(
            [distance_at(i, d, at) for i, d in zip(chosen.iteration, chosen.distance, strict=True)]
        )
    )


def assess(
    frame: pd.DataFrame, instances: list[Instance], per_start: bool = False
) -> tuple[dict[Instance, Estimate], list[str]]:
    """Speed-up of each instance, and the models whose tuned rate is on the edge of its grid."""
    estimates, edges = {}, set()
    for instance in instances:
        runs = select(frame, p=instance.p)
        pair = all_starts(select(runs, depth=[instance.depth, instance.over]))
        target = single_layer_target(runs, instance.fraction)
        if not math.isfinite(target):
            raise MissingRuns(
                f"the single layer diverges at every rate, ℓ{instance.p:g}: no target"
            )
        row = speedup(pair, baseline={"depth": instance.over}, target=target, per_start=per_start)
        row = row.iloc[0]
        estimates[instance] = row.speedup
        for depth, edge in ((instance.depth, row.edge), (instance.over, row.baseline_edge)):
            if edge:
                edges.add(f"depth {depth} at ℓ{instance.p:g} ({edge} rate)")
    return estimates, sorted(edges)


def compare(
    runs: Runs, instances: list[Instance], *, experiment: str, variants: dict[str, str]
) -> Verdict:
    """Verdict over all instances: the source's grid first, then per start, then the variants.

    `variants` maps a phrase to the name of the experiment that repeats the comparison that way.
    """
    frame = runs(experiment)
    estimates, edges = assess(frame, instances)
    evidence = {str(instance): estimate for instance, estimate in estimates.items()}
    held = sum(_median_holds(pair) for pair in estimates.items())
    if held < MAJORITY * len(instances):
        return Verdict(
            NOT_REPRODUCED,
            evidence,
            f"holds for the median start in {held} of {len(instances)} comparisons",
        )
    found = _failures(estimates)
    conditions = _phrases("", found, ())
    if edges:
        conditions.append(f"tuned rate on the edge of its grid: {', '.join(edges)}")
    repeats = {"every start tuned on its own": (frame, True)} | {
        phrase: (runs(name), False) for phrase, name in variants.items()
    }
    for phrase, (repeat, per_start) in repeats.items():
        again, _ = assess(repeat, instances, per_start)
        evidence |= {f"{instance}, {phrase}": estimate for instance, estimate in again.items()}
        conditions += _phrases(phrase, _failures(again), found)
    if not conditions:
        return Verdict(REPRODUCED, evidence)
    return Verdict(CONDITION, evidence, "; ".join(conditions))


def _median_holds(pair: tuple[Instance, Estimate]) -> bool:
    instance, estimate = pair
    return estimate.median_within(instance.lower, instance.upper)


def _failures(estimates: dict[Instance, Estimate]) -> list[tuple[str, Instance]]:
    """(how, instance) of all that do not hold, or hold for the median start only."""
    return [
        (failure(_median_holds((instance, estimate))), instance)
        for instance, estimate in estimates.items()
        if not estimate.within(instance.lower, instance.upper)
    ]


def _phrases(phrase: str, failures: list, known) -> list[str]:
    """One phrase per way of failing, targets gathered by comparison; known ones are left out."""
    gathered: dict[str, dict[str, list[str]]] = {}
    for how, instance in failures:
        if (how, instance) not in known:
            shares = gathered.setdefault(how, {}).setdefault(instance.models, [])
            shares.append(f"{instance.fraction:.0%}")
    where = f"{phrase}: " if phrase else ""
    return [
        f"{where}{how} "
        + " · ".join(
            f"{models} ({', '.join(shares)} of the budget)" for models, shares in by_models.items()
        )
        for how, by_models in gathered.items()
    ]
