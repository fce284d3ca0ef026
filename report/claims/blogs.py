"""Claims of the two blog posts (2023, 2024) that no other chapter judges.

Committed before the runs.
"""

from accel_core.intervals import median_interval
from accel_core.models import Architecture
from report.claims import ava, levy_wang
from report.claims.base import NOT_REPRODUCED, REPRODUCED, Claim, Runs, Verdict, select
from report.claims.draws import (
    ARCHITECTURES,
    DATASETS,
    DEEPER,
    EXPERIMENT,
    all_or_some,
    finals,
    judge,
    name,
    share,
)
from report.claims.levy_wang import BURSTS, CHAPTER, WALK

# dataset, p, depth, width, seed, loss (the level); sharpness (largest eigenvalue of the Hessian of
# the training loss in the parameters), cosine (between the end-to-end step and minus the gradient)
LANDSCAPE = "landscape"
# Directions 8 degrees apart or more are different ones.
SAME_DIRECTION = 0.99


def more_parameters(runs: Runs) -> Verdict:
    """Every network that is called overparameterized has more parameters than training rows."""
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


def smoother(runs: Runs) -> Verdict:
    """At the same loss the deeper network's sharpness is below the single layer's, every start."""
    frame = runs(LANDSCAPE)
    evidence, failed = {}, []
    single = select(frame, depth=1).set_index(["dataset", "p", "loss", "seed"]).sharpness
    for (dataset, p, depth, width), cell in frame[frame.depth > 1].groupby(
        ["dataset", "p", "depth", "width"]
    ):
        deep = cell.set_index(["dataset", "p", "loss", "seed"]).sharpness
        both = deep.index.intersection(single.index)  # a start may lie below a level already
        for loss, ratios in (deep[both] / single[both]).groupby("loss"):
            key = f"{name((depth, width))}, ℓ{p:g}, {dataset}, loss {loss:g}"
            evidence[key] = median_interval(ratios)
            if not evidence[key].within(upper=1):
                failed.append(key)
    return all_or_some(evidence, failed, len(evidence), "not smoother:")


def other_dynamics(runs: Runs) -> Verdict:
    """The end-to-end step of every deeper network leaves the gradient's direction."""
    frame = runs(LANDSCAPE)
    evidence, failed = {}, []
    for (dataset, p, depth, width), cell in frame[frame.depth > 1].groupby(
        ["dataset", "p", "depth", "width"]
    ):
        key = f"cosine, {name((depth, width))}, ℓ{p:g}, {dataset}"
        evidence[key] = median_interval(cell.groupby("seed").cosine.min())
        if not evidence[key].within(upper=SAME_DIRECTION):
            failed.append(key)
    return all_or_some(evidence, failed, len(evidence), "along the gradient:")


def regularizes(runs: Runs) -> Verdict:
    """At equal training loss deeper networks have the lower held-out loss."""

    def instances(split):
        found = {}
        for dataset in DATASETS:
            ratio = finals(runs, "held_out_ratio", dataset=dataset, split=split)
            found |= {f"{name(a)} on {dataset}": share(ratio[a] < 1) for a in DEEPER}
        return found

    return judge(instances)


def adam_sometimes(runs: Runs) -> Verdict:
    """More than half of the fourteen pairs of networks end consistently lower with Adam.

    One would do for "some"; asking for most of them leaves no need for a correction.
    """
    evidence = {}
    for dataset in DATASETS:
        adam, sgd = (
            finals(runs, dataset=dataset, start="near_identity", rule=rule)
            for rule in ("Adam", "SGD")
        )
        evidence |= {f"{name(a)} on {dataset}": share(adam[a] < sgd[a]) for a in ARCHITECTURES}
    held = sum(found.consistent for found in evidence.values())
    if 2 * held > len(evidence):
        return Verdict(REPRODUCED, evidence)
    return Verdict(NOT_REPRODUCED, evidence, f"Adam wins consistently in {held} of {len(evidence)}")


def not_wrong(runs: Runs) -> Verdict:
    """Run again as they were, the experiments give what was reported: both sentences of the first
    figure hold, with or without a condition."""
    verdicts = {
        "one layer on ethanol": levy_wang.single_wins(runs),
        "deeper on Abalone": levy_wang.deeper_win(runs),
    }
    evidence = {key: verdict.outcome for key, verdict in verdicts.items()}
    failed = [key for key, verdict in verdicts.items() if verdict.outcome == NOT_REPRODUCED]
    return all_or_some(evidence, failed, len(verdicts), "does not come out again:")


def _claim(id: str, year: int, place: str, sentence: str, criterion, chapter: str) -> Claim:
    return Claim(f"blog-{year}-{id}", f"blog-{year}", place, sentence, chapter, criterion)


CLAIMS = (
    _claim(
        "more-parameters", 2023, "Theoretical foundation",
        "Overparameterized networks have more parameters than training examples.",
        more_parameters, CHAPTER,
    ),
    _claim(
        "regularizes", 2023, "Theoretical foundation",
        "Overparameterization regularizes implicitly.", regularizes, CHAPTER,
    ),
    _claim(
        "smoother", 2023, "Theoretical foundation",
        "Overparameterized networks have the smoother loss landscape.", smoother, BURSTS,
    ),
    _claim(
        "other-dynamics", 2023, "Theoretical foundation",
        "Gradient dynamics differ in overparameterized networks.", other_dynamics, BURSTS,
    ),
    _claim(
        "architecture", 2023, "Results and analysis", "The effects depend on the architecture.",
        levy_wang.width_matters, CHAPTER,
    ),
    _claim(
        "data-set", 2023, "Results and analysis", "The effects depend on the data set.",
        levy_wang.data_sets_disagree, CHAPTER,
    ),
    _claim(
        "same-functions", 2024, "Project overview",
        "Stacked linear layers are equivalent to a single one.", ava.same_functions, CHAPTER,
    ),
    _claim(
        "depends", 2024, "Observations",
        "Results depend strongly on the initialization and the data set.",
        levy_wang.depends, CHAPTER,
    ),
    _claim(
        "adam", 2024, "Observations", "In some cases Adam outperformed.", adam_sometimes, CHAPTER
    ),
    _claim(
        "bursts", 2024, "Observations",
        "Overparameterization occasionally makes the training loss burst.",
        levy_wang.bursts, BURSTS,
    ),
    _claim(
        "not-aligned", 2024, "Final thoughts", "The experiments do not align with the paper's.",
        levy_wang.differs_from_paper, WALK,
    ),
    _claim(
        "not-wrong", 2024, "Final thoughts", "The experiments are probably not wrong.",
        not_wrong, CHAPTER,
    ),
)  # fmt: skip
