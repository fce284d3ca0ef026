"""Races: criteria of the kind "this model needs fewer iterations than that one", for models that
differ in more than depth (rule, start).

The target of a race is where its *reference* model, tuned, is after a share of the budget. A race
*holds* when the whole interval of the paired speed-up lies inside the claimed range (for five
starts: every start agrees). The verdicts are those of `comparisons`: reproduced when every race
holds, for the source's protocol and in every variant; not reproduced when fewer than half of them
hold, even for the median start; with a condition in between.
"""

import math
from collections.abc import Mapping, Sequence
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
    Verdict,
    failure,
    select,
)
from report.claims.comparisons import MAJORITY, all_starts

Model = Mapping[str, object]  # column of the run table → value

# A reference that has hardly moved gives no target to race for: the least target is a hundredth of
# the way down from where the models start.
MOVED = 0.99


@dataclass(frozen=True, eq=False)
class Race:
    """The claim that `model` is between `lower` and `upper` times as fast as `over`."""

    name: str  # what is compared with what
    model: Model
    over: Model
    fraction: float  # of the budget: the target is where the reference is by then
    lower: float = -math.inf
    upper: float = math.inf
    reference: Model | None = None  # default: `over`

    def __str__(self) -> str:
        """Name it in words."""
        return f"{self.name}, target at {self.fraction:.0%} of the budget"


def tuned_runs(frame: pd.DataFrame, model: Model) -> pd.DataFrame:
    """The runs of a model at its best rate (by the median distance at the budget)."""
    runs = all_starts(select(frame, **model))
    (rate,) = tune(runs).rate
    return runs[runs.rate.eq(rate)]


def target(frame: pd.DataFrame, model: Model, fraction: float) -> float:
    """Distance of the tuned model, median over starts, after this fraction of the budget."""
    runs = tuned_runs(frame, model)
    at = fraction * runs.budget.iloc[0]
    reached = [distance_at(i, d, at) for i, d in zip(runs.iteration, runs.distance, strict=True)]
    median = float(np.median(reached))
    if not math.isfinite(median):
        raise MissingRuns(f"{dict(model)} diverges at every rate: there is no target")
    return median


def race_table(frame: pd.DataFrame, races: Sequence[Race], per_start: bool = False) -> pd.DataFrame:
    """One row per race, as `statistics.speedup` gives it, with `race` and `target` in front."""
    rows = []
    for race in races:
        pair = pd.concat([all_starts(select(frame, **m)) for m in (race.model, race.over)])
        least = MOVED * min(distance[0] for distance in pair.distance)
        goal = min(target(frame, race.reference or race.over, race.fraction), least)
        row = speedup(pair, baseline=race.over, target=goal, per_start=per_start)
        rows.append({"race": race} | row.iloc[0].to_dict())
    return pd.DataFrame(rows)


def judge(
    frame: pd.DataFrame,
    races: Sequence[Race],
    variants: Mapping[str, tuple[pd.DataFrame, Sequence[Race]]] | None = None,
) -> Verdict:
    """Verdict over all races; also with every start tuned on its own, and in each of `variants`
    (phrase → its runs and its races)."""
    table = race_table(frame, races)
    evidence = {str(race): s for race, s in zip(table.race, table.speedup, strict=True)}
    held = sum(_holds(row.race, row.speedup, median=True) for row in table.itertuples())
    if held < MAJORITY * len(races):
        reason = f"holds for the median start in {held} of {len(races)} comparisons"
        return Verdict(NOT_REPRODUCED, evidence, reason)
    failed = _failed(table)
    conditions = _phrases(failed)
    edges = {str(row.race.name): row.edge for row in table.itertuples() if row.edge}
    conditions += [f"tuned on the edge of the grid: {n} ({e} rate)" for n, e in edges.items()]
    repeats = {"every start tuned on its own": (frame, races, True)} | {
        phrase: (*variant, False) for phrase, variant in (variants or {}).items()
    }
    for phrase, repeat in repeats.items():
        again = race_table(*repeat)
        evidence |= {
            f"{race}, {phrase}": s for race, s in zip(again.race, again.speedup, strict=True)
        }
        new = {race: how for race, how in _failed(again).items() if failed.get(race) != how}
        conditions += [f"{phrase}: {words}" for words in _phrases(new)]
    if conditions:
        return Verdict(CONDITION, evidence, "; ".join(conditions))
    return Verdict(REPRODUCED, evidence)


def _holds(race: Race, estimate: Estimate, median: bool = False) -> bool:
    within = estimate.median_within if median else estimate.within
    return within(race.lower, race.upper)


def _failed(table: pd.DataFrame) -> dict[str, str]:
    """Race → how it fails to hold for every start."""
    return {
        str(row.race): failure(_holds(row.race, row.speedup, median=True))
        for row in table.itertuples()
        if not _holds(row.race, row.speedup)
    }


def _phrases(failed: Mapping[str, str]) -> list[str]:
    return [
        f"{how} {' · '.join(race for race, own in failed.items() if own == how)}"
        for how in dict.fromkeys(failed.values())
    ]
