"""What the sources say about the convolutional network (Fig. 6 right), each with its criterion.

A criterion sees a group of runs, their losses split, and returns a status and its numbers. All
curves are running means over 101 minibatches: every network sees the same minibatches in the same
order, so that the means of two networks differ by the networks alone.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

GAPS = (1_000, 4_000, 8_500)  # iterations at which the printed gap is taken apart
PRINTED_TARGETS = (3.0, 2.5, 2.0)  # of the printed loss; the printed original ends at 1.6
ENTROPY_TARGETS = (0.5, 0.2, 0.1, 0.05)  # of the cross-entropy
TOLERANCE = 0.05  # dex
HALF = 50  # of the running mean

REPRODUCED, CONDITION, NOT = "reproduced", "reproduced with a condition", "not reproduced"


def smooth(values: np.ndarray, half: int = HALF) -> np.ndarray:
    """Means over ``2·half + 1`` neighbours, over those that exist at the ends; same shape."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    position = np.arange(len(values))
    low, high = np.maximum(position - half, 0), np.minimum(position + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def iterations_to(values: np.ndarray, target: float) -> float:
    """The first iteration at which the running mean is at most ``target``; ∞ if it never is."""
    reached = np.flatnonzero(smooth(values) <= target)
    return float(reached[0]) if len(reached) else math.inf


def ratios(original: np.ndarray, factored: np.ndarray, targets: Sequence[float]) -> list[float]:
    """Iterations of the original over iterations of the factored network, to each target.

    ``inf``: only the factored one arrives. ``0``: only the original does. NaN: neither.
    """
    pairs = [(iterations_to(original, t), iterations_to(factored, t)) for t in targets]
    return [
        math.nan if math.isinf(a) and math.isinf(b) else (math.inf if b == 0 else a / b)
        for a, b in pairs
    ]


def gap(original: Mapping[str, np.ndarray], factored: Mapping[str, np.ndarray]) -> dict:
    """At each of ``GAPS``: the two printed losses' difference, and both parts' differences."""
    parts = {}
    for name in ("cross_entropy", "penalty"):
        difference = smooth(original[name]) - smooth(factored[name])
        parts[name] = [float(difference[iteration]) for iteration in GAPS]
    parts["printed"] = [
        a + b for a, b in zip(parts["cross_entropy"], parts["penalty"], strict=True)
    ]
    return parts


def deviation(printed_at: np.ndarray, printed: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """log10(ours / printed) at the printed points of the last 90 % of the axis.

    Both are minibatch losses, of different networks' draws: both are averaged, ours over 101
    minibatches, the printed one over its 5 neighbouring points (which cover 200 minibatches).
    """
    late = printed_at >= 0.1 * len(ours)
    return np.log10(smooth(ours)[printed_at[late]] / smooth(printed, half=2)[late])


def faster(pairs: Sequence[tuple[np.ndarray, np.ndarray]], targets: Sequence[float]) -> tuple:
    """Is factored faster than original, to every target, from every start?

    Targets that neither network of a pair reaches do not count. Reproduced: every ratio is above
    1. With a condition: for some targets every start's ratio is above 1. Otherwise not.
    """
    table = np.array([ratios(original, factored, targets) for original, factored in pairs])
    counted = ~np.isnan(table)
    won = np.where(counted, table > 1, True)
    by_target = won.all(0) & counted.any(0)
    if not counted.any():
        status = "cannot be tested"
    elif won.all():
        status = REPRODUCED
    else:
        status = CONDITION if by_target.any() else NOT
    return status, {"targets": list(targets), "ratios": table.tolist()}


def acceleration(printed: tuple, entropy: tuple) -> str:
    """'Factoring the dense layers accelerates training', from `faster` on both of its measures.

    Reproduced only if the printed loss AND its cross-entropy are reached faster. Where just the
    printed loss is, the condition is that the penalty counts as training.
    """
    if printed[0] == entropy[0] == REPRODUCED:
        return REPRODUCED
    return NOT if printed[0] == NOT else CONDITION


def same_gap(gaps: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """'The same gap' over a grid: the printed gap at 4,000 and 8,500 is positive everywhere.

    ``gaps`` are of those settings at which both networks' losses stay finite.
    """
    signs = [value > 0 for each in gaps for value in each["printed"][1:]]
    if not signs:
        return "cannot be tested"
    return REPRODUCED if all(signs) else (CONDITION if any(signs) else NOT)


def reading(deviations: Mapping[str, Sequence[np.ndarray]]) -> dict[str, bool]:
    """Which reading of the penalty gives the printed curve: the median |deviation| over the last
    90 % of the axis is within ``TOLERANCE`` for every start."""
    return {
        name: all(float(np.median(np.abs(each))) <= TOLERANCE for each in starts)
        for name, starts in deviations.items()
    }


def parameters(original: int, factored: int) -> str:
    """'About 15 % more parameters': between 14 and 16 %."""
    return REPRODUCED if 1.14 <= factored / original <= 1.16 else NOT
