"""Curves of minibatch losses: averaged, compared by iterations to a target, taken apart.

Every convolutional network sees the same minibatches in the same order, so that the means of two
networks over the same minibatches differ by the networks alone (and by their dropout, which the
networks of one seed share).
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from accel_core.intervals import Estimate, median_interval
from accel_core.statistics import ratio

HALF = 50  # a running mean is over 2·HALF + 1 minibatches
SPACING = 5  # neighbouring points of a printed curve that are averaged: about 200 minibatches


def smooth(values: ArrayLike, half: int = HALF) -> np.ndarray:
    """Means over ``2·half + 1`` neighbours, over those that exist at the ends; same shape."""
    values = np.asarray(values, dtype=float)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    position = np.arange(len(values))
    low, high = np.maximum(position - half, 0), np.minimum(position + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def iterations_to(values: ArrayLike, target: float) -> float:
    """The first iteration at which the running mean is at most ``target``; ∞ if it never is."""
    reached = np.flatnonzero(smooth(values) <= target)
    return float(max(reached[0], 1)) if len(reached) else math.inf


def speedups(
    pairs: Sequence[tuple[ArrayLike, ArrayLike]], targets: Iterable[float]
) -> dict[float, Estimate]:
    """Target → iterations of the first curve over those of the second, over the pairs.

    Targets that no curve reaches are left out.
    """
    found = {}
    for target in targets:
        reached = [[iterations_to(curve, target) for curve in pair] for pair in pairs]
        if np.isfinite(reached).any():
            bounds = [ratio(*each, len(pair[0])) for each, pair in zip(reached, pairs, strict=True)]
            found[target] = median_interval(*zip(*bounds, strict=True))
    return found


def gap(
    original: Mapping[str, ArrayLike], factored: Mapping[str, ArrayLike], at: Sequence[int]
) -> dict[str, np.ndarray]:
    """Original − factored at the iterations ``at``, each value (len(at),).

    Both mappings hold the curves ``cross_entropy`` and ``weight_penalty``. So does the result, and
    ``printed``, the difference of their sums.
    """
    parts = {
        name: (smooth(original[name]) - smooth(factored[name]))[list(at)]
        for name in ("cross_entropy", "weight_penalty")
    }
    return parts | {"printed": parts["cross_entropy"] + parts["weight_penalty"]}


def deviation(at: ArrayLike, printed: ArrayLike, ours: ArrayLike) -> np.ndarray:
    """log10(ours / printed) at the printed points of the last 90 % of the axis.

    Both are losses of minibatches, with dropout drawn independently: both are averaged, ours over
    ``2·HALF + 1`` minibatches, the printed one over ``SPACING`` neighbouring points.
    """
    at = np.asarray(at, dtype=int)
    late = (at >= 0.1 * len(ours)) & (at < len(ours))
    return np.log10(smooth(ours)[at[late]] / smooth(printed, half=SPACING // 2)[late])
