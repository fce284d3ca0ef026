"""Predicates of Ava's report (2024) that no other chapter judges; others stand with the figures.

Committed before the runs.
"""

import numpy as np
import pandas as pd

from accel_core.intervals import Estimate, median_interval
from accel_core.models import Architecture, end_to_end
from report.claims.base import (
    NOT_REPRODUCED,
    UNDECIDED,
    MissingRuns,
    Runs,
    Verdict,
    all_or_some,
    claims,
    select,
    with_conditions,
)

# dataset, p, start, bias, width, budget, upper, seed, depth; low, high: bounds of the speed-up
# over depth 1 to where the tuned single layer is at 0.4 of the budget; gain: ratio of distances
FACTORIAL = "walk_factorial"
# 'Negligible': less than a tenth of the iterations, either way, as in the tuned-rates chapter.
NEGLIGIBLE = 1.1
# Round-off of products of a few matrices in double precision is below this.
EXACT = 1e-12
CELL = ["budget", "upper", "depth"]
CORNER = {"dataset": "ethanol", "p": 4.0, "bias": False}  # the paper's


def speed(cell: pd.DataFrame) -> Estimate:
    """Median speed-up over depth 1 of the starts in a cell, with its interval."""
    return median_interval(cell.low, cell.high)


def width_negligible(runs: Runs) -> Verdict:
    frame = select(runs(FACTORIAL), start="near_zero", width=[1, 10, 64], **CORNER)
    evidence, equal, failed, deeper = {}, 0, [], frame[frame.depth > 1]
    for (budget, upper, depth), cell in deeper.groupby(CELL):
        starts = cell.set_index(["width", "seed"])
        for width in (10, 64):
            wide, narrow = starts.loc[width], starts.loc[1].loc[starts.loc[width].index]
            ratio = median_interval(
                (wide.low / narrow.high).fillna(0), (wide.high / narrow.low).fillna(np.inf)
            )
            key = f"width {width} over 1, depth {depth}, {budget:,} iterations, rates to {upper:g}"
            evidence[key] = ratio
            equal += ratio.within(1 / NEGLIGIBLE, NEGLIGIBLE)
            if ratio.within(upper=1 / NEGLIGIBLE) or ratio.within(lower=NEGLIGIBLE):
                failed.append(key)
    if not evidence:
        raise MissingRuns("no deeper network is in the factorial")
    undecided = len(evidence) - equal - len(failed)
    if undecided == len(evidence):
        return Verdict(UNDECIDED, evidence, "every comparison is censored or too wide")
    told = [f"a tenth or more for {'; '.join(failed)}"] if failed else []
    if undecided:
        told.append(f"{undecided} of {len(evidence)} comparisons are censored or too wide")
    if len(failed) > equal:
        return Verdict(NOT_REPRODUCED, evidence, "; ".join(told))
    return with_conditions(evidence, told)


def identity_helps(runs: Runs) -> Verdict:
    frame = select(runs(FACTORIAL), start=["near_zero", "identity"], width=1, **CORNER)
    evidence, failed, deeper = {}, [], frame[frame.depth > 1]
    for (budget, upper, depth), cell in deeper.groupby(CELL):
        found = {start: speed(group) for start, group in cell.groupby("start")}
        key = f"depth {depth}, {budget:,} iterations, rates to {upper:g}"
        evidence |= {f"{key}, {start}": estimate for start, estimate in found.items()}
        if not found["identity"].low > found["near_zero"].high:
            failed.append(key)
    # two pieces of evidence a comparison
    return all_or_some(evidence, failed, len(evidence) // 2, "intervals meet for", "; ")


def same_functions(runs: Runs) -> tuple[bool, dict]:
    rng = np.random.default_rng(0)
    evidence, failed = {}, False
    for depth in (2, 3):
        shape = Architecture(depth, 1, bias=True)
        sizes = shape.sizes(128)
        flat = rng.standard_normal(shape.count(128))
        weights, biases = shape.unpack(flat, 128)
        x = rng.standard_normal(sizes[0])
        by_layers = x
        for W, b in zip(weights, biases, strict=True):
            by_layers = W @ by_layers + b
        error = float(np.abs(end_to_end(weights, biases) @ np.append(x, 1) - by_layers).max())
        same = error <= EXACT * np.abs(by_layers).max()
        # rounding itself differs by processor
        name = f"depth {depth}: output of the layers less that of their product"
        evidence[name] = "rounding only" if same else error
        # ones in all layers but the first: every row vector is the product of such a network
        wanted = rng.standard_normal((1, 128))
        reached = end_to_end([wanted, *[np.ones((1, 1))] * (depth - 1)])
        failed |= not same or not np.array_equal(reached, wanted)
    return not failed, evidence


CLAIMS = claims("ava", {
    "ava-width": width_negligible,
    "ava-identity": identity_helps,
    "ava-same-functions": same_functions,
})  # fmt: skip
