"""Predicates of the two blog posts (2023, 2024) that no other chapter judges.

Committed before the runs.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from accel_core.intervals import Estimate, median_interval
from accel_core.models import Architecture
from report.claims import levy_wang
from report.claims.base import (
    NOT_REPRODUCED,
    REPRODUCED,
    Criterion,
    Runs,
    Verdict,
    all_or_some,
    claims,
    select,
)
from report.claims.draws import (
    ARCHITECTURES,
    DATASETS,
    DEEPER,
    EXPERIMENT,
    judged,
    lower,
    name,
    shares,
)

# dataset, p, depth, width, seed, loss (the level); sharpness (largest eigenvalue of the Hessian of
# the training loss in the parameters), cosine (between the end-to-end step and minus the gradient)
LANDSCAPE = "landscape"
LEVEL = ["dataset", "p", "loss", "seed"]
# Directions 8 degrees apart or more are different ones.
SAME_DIRECTION = 0.99


def more_parameters(runs: Runs) -> Verdict:
    table = select(runs(EXPERIMENT), dataset=list(DATASETS)).drop_duplicates("dataset")
    evidence, fewer = {}, []
    for row in table.itertuples():
        for depth, width in DEEPER:
            count = Architecture(depth, width, bias=True).count(int(row.features))
            key = f"{name((depth, width))} on {row.dataset}"
            evidence[key] = f"{count:,} parameters, {int(row.training_rows):,} examples"
            if count <= row.training_rows:
                fewer.append(key)
    return all_or_some(evidence, fewer, len(evidence), "fewer parameters than examples:")


def _deeper(runs: Runs) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, rows) of each deeper network's landscape, by loss and data set."""
    frame = runs(LANDSCAPE)
    cells = frame[frame.depth > 1].groupby(["dataset", "p", "depth", "width"])
    for (dataset, p, depth, width), cell in cells:
        yield f"{name((depth, width))}, ℓ{p:g}, {dataset}", cell


def _all_within(found: Mapping[str, Estimate], words: str, **bounds: float) -> Verdict:
    failed = [key for key, estimate in found.items() if not estimate.within(**bounds)]
    return all_or_some(found, failed, len(found), words)


def smoother(runs: Runs) -> Verdict:
    single = select(runs(LANDSCAPE), depth=1).set_index(LEVEL).sharpness
    found = {}
    for key, cell in _deeper(runs):
        deep = cell.set_index(LEVEL).sharpness
        both = deep.index.intersection(single.index)  # a start may lie below a level already
        for loss, ratios in (deep[both] / single[both]).groupby("loss"):
            found[f"{key}, loss {loss:g}"] = median_interval(ratios)
    return _all_within(found, "not smoother:", upper=1)


def cosines(words: str, **bounds: float) -> Criterion:
    """That every deeper network's least cosine, median start, lies between these bounds."""

    def criterion(runs: Runs) -> Verdict:
        found = {
            f"cosine, {key}": median_interval(cell.groupby("seed").cosine.min())
            for key, cell in _deeper(runs)
        }
        return _all_within(found, words, **bounds)

    return criterion


def adam_sometimes(runs: Runs) -> Verdict:
    evidence = shares(runs, "report", lower, of=ARCHITECTURES, **levy_wang.ADAM_OVER_SGD)
    held = sum(found.consistent for found in evidence.values())
    if 2 * held > len(evidence):
        return Verdict(REPRODUCED, evidence)
    return Verdict(NOT_REPRODUCED, evidence, f"Adam wins consistently in {held} of {len(evidence)}")


def not_wrong(runs: Runs) -> Verdict:
    verdicts = {
        "one layer on ethanol": levy_wang.single_wins(runs),
        "deeper on Abalone": levy_wang.deeper_win(runs),
    }
    evidence = {key: verdict.outcome for key, verdict in verdicts.items()}
    failed = [key for key, verdict in verdicts.items() if verdict.outcome == NOT_REPRODUCED]
    return all_or_some(evidence, failed, len(verdicts), "does not come out again:")


CLAIMS = claims("blogs", {
    "blog-2023-more-parameters": more_parameters,
    "blog-2023-regularizes": judged(lower, column="held_out_ratio"),
    "blog-2023-smoother": smoother,
    "blog-2023-other-dynamics": cosines("along the gradient:", upper=SAME_DIRECTION),
    "lw-along-gradient": cosines("another direction:", lower=SAME_DIRECTION),
    "blog-2024-adam": adam_sometimes,
    "blog-2024-not-wrong": not_wrong,
})  # fmt: skip
