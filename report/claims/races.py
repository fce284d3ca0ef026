"""Races: criteria of the kind "this model needs fewer iterations than that one", asked at several
targets and on several grids.

The target of a race is where its *reference* model, tuned, is after a share of the budget. A race
*holds* when the whole interval of the paired speed-up lies inside the claimed range (for five
starts: every start agrees), holds *for the median* when only the median does, and fails otherwise.
A claim is

- reproduced, when every race holds, in the source's own protocol and in every variant;
- not reproduced, when half of its races or more are refuted in the source's protocol, and more than
  hold for the median start: the whole interval of the speed-up lies outside of the claimed range
  (this error rate was asked for after the runs; before, less than half had to hold);
- undecided, when no more than half hold for the median start, and it is not refuted;
- reproduced with a condition in between; the condition lists what fails.

All races must hold for 'reproduced' (intersection–union), so several targets need no correction.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accel_core.curves import distance_at, iterations_to
from accel_core.intervals import Estimate
from accel_core.statistics import speedup, tune
from report.claims.base import (
    NOT_REPRODUCED,
    Criterion,
    MissingRuns,
    Runs,
    Verdict,
    by_majority,
    failure,
    select,
    with_conditions,
)

Model = Mapping[str, object]  # column of the run table → value

# The protocol's starts. With fewer than five, 'all starts agree' is likelier than 1 in 16 by
# chance alone.
STARTS = 5
# A sentence of which fewer than half of the races hold is not called reproduced.
MAJORITY = 0.5
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
    by: str = ""  # the reference's name, where a verdict is to tell it

    def __str__(self) -> str:
        """Name it in words."""
        target = f"target: {self.by}" if self.by else "target"
        return f"{self.name}, {target} at {self.fraction:.0%} of the budget"

    def holds(self, gain: Estimate, median: bool = False) -> bool:
        """Whether the interval of the speed-up, or its median, lies inside the claimed range."""
        return (gain.median_within if median else gain.within)(self.lower, self.upper)

    def refuted(self, gain: Estimate) -> bool:
        """Whether the whole interval of the speed-up lies outside of the claimed range."""
        return gain.high < self.lower or gain.low > self.upper


def depths(p: float, depth: int, over: int, fraction: float, **bounds: float) -> Race:
    """The race of one depth over another at the ℓp loss; the single layer sets the target."""
    models = [{"p": p, "depth": each} for each in (depth, over, 1)]
    name = f"depth {depth} over {over} at ℓ{p:g}"
    return Race(name, *models[:2], fraction, reference=models[2], by="single layer", **bounds)


def all_starts(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs, or raise MissingRuns where they are of fewer starts than the protocol's."""
    if runs.seed.nunique() < STARTS:
        raise MissingRuns(f"{runs.seed.nunique()} starts of {STARTS} are in the record")
    return runs


def tuned_runs(frame: pd.DataFrame, model: Model) -> pd.DataFrame:
    """The runs of a model at its best rate (by the median distance at the budget)."""
    runs = select(frame, **model)
    (rate,) = tune(runs).rate
    return runs[runs.rate.eq(rate)]


def target(frame: pd.DataFrame, model: Model, fraction: float) -> float:
    """Distance of the tuned model, median over starts, after this fraction of the budget; inf where
    it diverges at every rate.

    A target from the runs themselves, so that it exists for every data set: "how long until the
    model is where that one is by then?"
    """
    runs = tuned_runs(frame, model)
    at = fraction * runs.budget.iloc[0]
    reached = [distance_at(i, d, at) for i, d in zip(runs.iteration, runs.distance, strict=True)]
    return float(np.median(reached))


def race_table(
    frame: pd.DataFrame,
    races: Sequence[Race],
    per_start: bool = False,
    reach: Callable = iterations_to,
) -> pd.DataFrame:
    """One row per race, as `statistics.speedup` gives it, with `race` and `target` in front."""
    rows = []
    for race in races:
        pair = pd.concat([all_starts(select(frame, **m)) for m in (race.model, race.over)])
        reference = race.reference or race.over
        if not math.isfinite(goal := target(frame, reference, race.fraction)):
            who = race.by or f"{dict(reference)}"
            raise MissingRuns(f"{race.name}: the {who} diverges at every rate, there is no target")
        goal = min(goal, MOVED * min(distance[0] for distance in pair.distance))
        row = speedup(pair, baseline=race.over, target=goal, per_start=per_start, reach=reach)
        rows.append({"race": race} | row.iloc[0].to_dict())
    return pd.DataFrame(rows)


def raced(
    experiment: str,
    races: Sequence[Race],
    variants: Mapping[str, tuple[str, Sequence[Race]]],
    reach: Callable = iterations_to,
) -> Criterion:
    """The criterion that judges all of these races over an experiment; also with every start tuned
    on its own, and in each of `variants` (phrase → another experiment and the races there)."""

    def criterion(runs: Runs) -> Verdict:
        frame = runs(experiment)
        repeats = {"every start tuned on its own": (frame, races, True)}
        repeats |= {phrase: (runs(name), own, False) for phrase, (name, own) in variants.items()}
        table = race_table(frame, races, reach=reach)
        evidence = {str(race): gain for race, gain in zip(table.race, table.speedup, strict=True)}
        held = sum(row.race.holds(row.speedup, median=True) for row in table.itertuples())
        refuted = sum(row.race.refuted(row.speedup) for row in table.itertuples())
        failed = _failed(table)
        conditions = _phrases(failed)
        if outcome := by_majority(held, refuted, len(races)):
            reason = f"holds for the median start in {held} of {len(races)} comparisons"
            told = [reason] if outcome == NOT_REPRODUCED else [reason, *conditions]
            return Verdict(outcome, evidence, "; ".join(told))
        edges = {
            row.race.name: edge
            for row in table.itertuples()
            if (edge := row.edge or (row.race.by and row.baseline_edge))
        }
        conditions += [f"tuned on the edge of the grid: {n} ({e} rate)" for n, e in edges.items()]
        for phrase, repeat in repeats.items():
            again = race_table(*repeat, reach=reach)
            gains = zip(again.race, again.speedup, strict=True)
            evidence |= {f"{race}, {phrase}": gain for race, gain in gains}
            known = {(str(race), how) for race, how in failed}
            new = [(race, how) for race, how in _failed(again) if (str(race), how) not in known]
            conditions += [f"{phrase}: {words}" for words in _phrases(new)]
        return with_conditions(evidence, conditions)

    return criterion


def _failed(table: pd.DataFrame) -> list[tuple[Race, str]]:
    """The races that do not hold for every start, and how."""
    return [
        (row.race, failure(row.race.holds(row.speedup, median=True)))
        for row in table.itertuples()
        if not row.race.holds(row.speedup)
    ]


def _phrases(failed: Sequence[tuple[Race, str]]) -> list[str]:
    """One phrase per way of failing; where the target's model is named, it is named once."""
    told = []
    for how in dict.fromkeys(how for _, how in failed):
        shares: dict[str, list[str]] = {}
        for race in (race for race, own in failed if own == how):
            shares.setdefault(race.name if race.by else str(race), []).append(
                f"{race.fraction:.0%}" if race.by else ""
            )
        names = [
            f"{name} ({', '.join(of)} of the budget)" if of[0] else name
            for name, of in shares.items()
        ]
        told.append(f"{how} {' · '.join(names)}")
    return told
