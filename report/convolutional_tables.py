"""The convolutional chapter's tables and curves, from `convolutional_runs.frame`'s table of runs.

Numbers over starts are medians with their range, as `intervals.median_interval` prints them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from accel_core.intervals import Estimate, median_interval
from accel_core.mnist import EVALUATED, Convolutional
from report import figure_data, figures
from report.claims.base import Verdict
from report.minibatch_losses import deviation, gap, smooth
from report.minibatch_losses import speedups as minibatch_speedups

PRODUCT, FACTORS = "factored, penalty on product", "factored, penalty on factors"
# network → the printed curve that it answers to
COUNTERPARTS = {
    "original": "original",
    PRODUCT: "overparameterized",
    FACTORS: "overparameterized",
}
BARE = "no penalty, no dropout"
# Cross-entropies below the criteria's, chosen after seeing the curves: no verdict rests on them.
LATER = (0.03, 0.02, 0.01, 0.005, 0.003)
POINTS = 800  # of a line that is drawn
COLOURS = dict(zip(COUNTERPARTS, map(figures.depth_colour, (1, 2, 3)), strict=True))


def protocol(runs: pd.DataFrame) -> pd.DataFrame:
    """The figure's runs among these: the tutorial's dropout, base rate and start."""
    usual = runs.rate.eq(Convolutional.rate) & runs.dense_std.isna()
    return runs[usual & runs.dropout.gt(0)]


def printed(run: pd.Series) -> np.ndarray:
    """The loss that the tutorial prints, (iterations,)."""
    return run.cross_entropy + run.weight_penalty


def draw(axes: Axes, runs: pd.DataFrame, curve, **style) -> None:
    """One line per start of each of the figure's networks; ``curve(run)`` gives x and y, or y."""
    for name, colour in COLOURS.items():
        figure_data.shows(axes.figure, _starts(runs, name).key)
        for number, (_, run) in enumerate(_starts(runs, name).iterrows()):
            values = curve(run)
            x, y = values if isinstance(values, tuple) else (np.arange(len(values)), values)
            thin = slice(None, None, max(1, len(x) // POINTS))
            label = name if number == 0 else None
            axes.semilogy(x[thin], y[thin], color=colour, label=label, alpha=0.7, **style)


def _starts(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    found = protocol(runs)
    return found[found.name.eq(name)].set_index("seed").sort_index()


def _pairs(one: pd.DataFrame, other: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.Series]]:
    for seed in one.index.intersection(other.index):
        yield one.loc[seed], other.loc[seed]


def gaps(runs: pd.DataFrame, at: Sequence[int]) -> pd.DataFrame:
    """Original − factored at the iterations ``at``: printed, in the penalty, in the cross-entropy,
    and the cross-entropy's share, for both readings."""
    table = []
    for name in (PRODUCT, FACTORS):
        pairs = _pairs(_starts(runs, "original"), _starts(runs, name))
        parts = [gap(original, factored, at) for original, factored in pairs]
        for k, iteration in enumerate(at):
            printed_, penalty, entropy = (
                np.array([part[key][k] for part in parts])
                for key in ("printed", "weight_penalty", "cross_entropy")
            )
            table.append(
                {
                    "network": name,
                    "iteration": iteration,
                    "starts": len(parts),
                    "printed gap": median_interval(printed_),
                    "of which penalty": median_interval(penalty),
                    "of which cross-entropy": median_interval(entropy),
                    "cross-entropy, %": median_interval(100 * entropy / printed_),
                }
            )
    return pd.DataFrame(table)


def deviations(runs: pd.DataFrame) -> pd.DataFrame:
    """Every network against its printed curve, over the last 90 % of the axis, in dex.

    The last two columns: our own run read as the printed one is read, one minibatch at each printed
    point, against its own running mean. What is no larger than these is minibatch noise.
    """
    table = []
    for name, curve in COUNTERPARTS.items():
        where, value = figures.printed_curve("fig6_convnet", curve)
        losses = [printed(run) for _, run in _starts(runs, name).iterrows()]
        there = [np.abs(deviation(where, value, loss)) for loss in losses]
        itself = [
            np.abs(deviation(where[where < len(loss)], loss[where[where < len(loss)]], loss))
            for loss in losses
        ]
        table.append(
            {
                "network": name,
                "starts": len(losses),
                "median": median_interval([np.median(each) for each in there]),
                "largest": median_interval([each.max() for each in there]),
                "median, own minibatches": median_interval([np.median(each) for each in itself]),
                "largest, own minibatches": median_interval([each.max() for each in itself]),
            }
        )
    return pd.DataFrame(table)


def speedups(runs: pd.DataFrame, targets: dict[str, Sequence[float]]) -> pd.DataFrame:
    """Iterations of the original over those of the factored network, paired by start.

    ``targets`` of 'printed loss' and of 'cross-entropy'. Targets that no run reaches are left out.
    """
    bare = runs[runs.penalty.eq("none")].set_index("seed").sort_index()
    plain = _starts(runs, "original")
    compared = [
        (f"figure, penalty on {reading}", what, plain, _starts(runs, name))
        for what in ("printed loss", "cross-entropy")
        for reading, name in (("product", PRODUCT), ("factors", FACTORS))
    ]
    one, other = (bare[bare.factored.eq(value)] for value in (False, True))
    compared.append((BARE, "cross-entropy", one, other))
    return pd.DataFrame(
        row
        for which, what, original, factored in compared
        for row in _speedups(which, what, list(_pairs(original, factored)), targets[what])
    )


def _speedups(which: str, what: str, pairs: list, targets: Iterable[float]) -> Iterator[dict]:
    curve = printed if what == "printed loss" else (lambda run: run.cross_entropy)
    found = minibatch_speedups([(curve(one), curve(other)) for one, other in pairs], targets)
    for target, estimate in found.items():
        starts = {"starts": len(pairs), "speed-up": estimate}
        yield {"runs": which, "of": what, "target": target, **starts}


def accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and cross-entropy on all images after the last epoch, dropout off."""
    usual = runs[runs.rate.eq(Convolutional.rate) & runs.dense_std.isna()]
    table = []
    for name, group in usual[usual.epoch.map(len) > 0].groupby("name"):
        row = {"network": name, "starts": len(group)}
        for column in EVALUATED:
            last = group[column].map(lambda values: values[-1])
            row[column.replace("_", " ")] = median_interval(last)
        table.append(row)
    return pd.DataFrame(table)


def robustness(runs: pd.DataFrame, at: Sequence[int]) -> pd.DataFrame:
    """The printed gap of the first start at other base rates and other stds of the factored layers.

    Empty where one of the two diverged.
    """
    first = runs[runs.seed.eq(0) & runs.penalty.eq("product")]
    originals = first[~first.factored].set_index("rate")
    table = []
    for _, run in first[first.factored & first.rate.isin(originals.index)].iterrows():
        original = originals.loc[run.rate]
        row = {
            "base rate": run.rate,
            "std": run["std"] if np.isnan(run.dense_std) else run.dense_std,
            "original": original.status,
            "factored": run.status,
        }
        if original.status == run.status == "completed":
            values = gap(original, run, at)["printed"]
            row |= {f"gap at {k:,}": float(v) for k, v in zip(at, values, strict=True)}
        table.append(row)
    return pd.DataFrame(table).sort_values(["base rate", "std"], ignore_index=True)


def draw_group(axes: Axes, runs: pd.DataFrame, by: str, half: int = 250) -> None:
    """Printed loss of each run, running means; a colour per value of ``by``, original dashed.

    A run that diverged is a cross at the iteration where it did: its losses fit no axis.
    """
    figure_data.shows(axes.figure, runs.key)
    values, height = sorted(runs[by].unique()), 0.97
    for _, run in runs.iterrows():
        colour = f"C{values.index(run[by])}"
        label = f"{'factored' if run.factored else 'original'}, {run[by]:g}"
        if run.status == "diverged":
            axes.plot([], [], "x", color=colour, label=f"{label} (diverged)")
            figures.diverged(axes, [run.diverged_at], colour, height)
            height -= 0.05  # they diverge at once: one below the other
            continue
        line = smooth(printed(run), half)
        axes.semilogy(
            *(series[:: max(1, len(line) // POINTS)] for series in (np.arange(len(line)), line)),
            color=colour,
            ls="-" if run.factored else "--",
            label=label,
        )


def bare(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs without penalty and dropout."""
    return runs[runs.penalty.eq("none")]


def appendix(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first start's runs at each base rate, and at each std of the dense layers."""
    first = runs[runs.seed.eq(0) & runs.penalty.eq("product")]
    stds = first.assign(std=first.dense_std.fillna(first["std"]))
    return first[first.dense_std.isna()], stds[stds.rate.eq(Convolutional.rate)]


def answer(runs: pd.DataFrame, reached: pd.DataFrame, robust: Mapping[str, Verdict]) -> str:
    """Sentences (Markdown) on what factoring does beside the penalty, and on its robustness.

    ``reached``: the speed-ups to the criteria's targets.
    """
    lines = []
    if not (ends := accuracies(runs)).empty:
        ends = ends.set_index("network")
        lines.append("With penalty and dropout, " + _ends(ends.loc[PRODUCT], ends.loc["original"]))
        lines += _bare(reached, later_speedups(runs))
        ours, theirs = (ends.loc[f"{name}, no penalty"] for name in ("factored", "original"))
        lines.append("Without penalty and dropout, " + _ends(ours, theirs))
    for of, verdict in robust.items():
        why = f"; {verdict.condition}" if verdict.condition else ""
        lines.append(f"The same gap at other {of}: *{verdict.outcome}*{why}.")
    return "\n".join(f"- {line}" for line in lines)


def _ends(ours: pd.Series, theirs: pd.Series) -> str:
    """After the last epoch, the factored network against the original."""
    parts = [
        f"{images} {what} {_against(ours, theirs, f'{images} {what}')}"
        for what in ("accuracy", "cross entropy")
        for images in ("train", "test")
    ]
    return (
        f"the factored network against the original after the last epoch: {'; '.join(parts)}. "
        f"Starts: {ours.starts}."
    )


def _bare(reached: pd.DataFrame, later: pd.DataFrame) -> list[str]:
    """Speed-ups without penalty and dropout: to the criteria's targets, to those below."""
    found, below = _estimates(reached), _estimates(later)
    faster = [target for target, estimate in found.items() if estimate.within(lower=1)]
    lines = [
        f"Without penalty and dropout, down to a cross-entropy of {min(found):g}, factoring is "
        f"faster from every start at {len(faster)} of {len(found)} targets ({_listed(found)})."
    ]
    if (since := faster_from(below)) is not None:
        listed = _listed({target: each for target, each in below.items() if target <= since})
        lines.append(
            f"At lower targets, chosen after seeing the curves, it is from {since:g} on ({listed})."
        )
    return lines


def _listed(found: Mapping[float, Estimate]) -> str:
    return "; ".join(f"{target:g}: {estimate}" for target, estimate in found.items())


def later_speedups(runs: pd.DataFrame) -> pd.DataFrame:
    """`speedups` to the cross-entropies that were chosen after seeing the curves."""
    return speedups(runs, {"printed loss": (), "cross-entropy": LATER})


def _estimates(reached: pd.DataFrame) -> dict[float, Estimate]:
    return {
        row["target"]: row["speed-up"] for row in reached.to_dict("records") if row["runs"] == BARE
    }


def faster_from(found: Mapping[float, Estimate]) -> float | None:
    """The largest target at which, and at all smaller ones, every start is faster; none: None.

    Faster by what a table's three digits show: 1.0004 is printed as 1.
    """
    since = None
    for target in sorted(found):
        if float(f"{found[target].low:.3g}") <= 1:
            break
        since = target
    return since


def _against(ours: pd.Series, theirs: pd.Series, column: str) -> str:
    """Two estimates, and whether all starts of the one lie on one side of the other's."""
    one, other = ours[column], theirs[column]
    apart = (
        "every start higher"
        if one.low > other.high
        else "every start lower"
        if one.high < other.low
        else "the ranges overlap"
    )
    return f"{one} against {other} ({apart})"


def tuned(robust: Mapping[str, Verdict]) -> str:
    """The speed-ups with the base rates tuned (Markdown): of one start, so without a range."""
    evidence = robust["base rates"].evidence if robust else {}
    return "\n".join(
        f"- {name}: {str(value).split(' [')[0]}"
        for name, value in evidence.items()
        if "tuned" in name
    )


def running_mean(part: str, half: int = 250):
    """The curve of a part of the printed loss, for `draw`."""
    return lambda run: smooth(run[part], half)


def errors(part: str):
    """The share of images of 'train' or 'test' that are classified wrongly, in %, for `draw`."""
    return lambda run: (run.epoch, 100 * (1 - run[f"{part}_accuracy"]))
