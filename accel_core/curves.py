"""A training curve: when it crosses a target, where it is at an iteration, how far from another.

Iterations are counts of gradient steps, distances are loss − optimum in the units of the loss.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

#: At the optimum the difference of two losses rounds to 0 or just below; it stays this far off.
TINY = float(np.finfo(float).tiny)


class Crossing(NamedTuple):
    """Crossing of a target, and the two recorded iterations that enclose it."""

    iterations: float  # interpolated; +inf: never reached (censored)
    before: float
    after: float


def iterations_to(iteration: ArrayLike, distance: ArrayLike, target: float) -> Crossing:
    """Iterations until the distance is first at most `target`, log-log interpolated.

    Between iteration 0 and the next one the iteration itself is interpolated, log 0 being no
    number. A curve that never gets there is censored: (+inf, last recorded iteration, +inf).

    >>> iterations_to([0, 1, 10, 100], [4.0, 1.0, 0.1, 0.01], target=0.02).iterations.__round__(6)
    50.0
    """
    iteration, distance = _curve(iteration, distance, target)
    reached = np.flatnonzero(distance <= target)
    return _crossing(iteration, distance, target, int(reached[0]) if reached.size else None)


def arrival(iteration: ArrayLike, distance: ArrayLike, target: float) -> Crossing:
    """Iterations until the distance is at most `target` for good: to the end of what is recorded.

    The last crossing of the target, as `iterations_to` gives the first one; a curve that ends above
    the target has not arrived, wherever it was before, and is censored.

    >>> arrival([0, 1, 2, 3], [4.0, 1.0, 3.0, 1.0], target=1.0).iterations
    3.0
    >>> arrival([0, 1, 2, 3], [4.0, 1.0, 3.0, 1.5], target=1.0).iterations
    inf
    """
    iteration, distance = _curve(iteration, distance, target)
    above = np.flatnonzero(distance > target)
    after = int(above[-1]) + 1 if above.size else 0
    return _crossing(iteration, distance, target, after if after < distance.size else None)


def _crossing(iteration, distance, target: float, after: int | None) -> Crossing:
    """The crossing between the recorded points `after` − 1 and `after`; None: there is none."""
    if after is None:
        return Crossing(math.inf, float(iteration[distance.size - 1]), math.inf)
    if after == 0:
        return Crossing(float(iteration[0]), float(iteration[0]), float(iteration[0]))
    start, end = iteration[after - 1], iteration[after]
    d0, d1 = _log(distance[after - 1 : after + 1])
    # two distances may have one logarithm
    share = (d0 - math.log(target)) / (d0 - d1) if d0 > d1 else 1.0
    crossing = (end / start) ** share * start if start > 0 else share * end
    return Crossing(float(crossing), float(start), float(end))


def distance_at(iteration: ArrayLike, distance: ArrayLike, at: ArrayLike) -> np.ndarray:
    """Distance at iterations `at` ≥ 1, log-log interpolated; +inf past the curve's end."""
    iteration, distance = _curve(iteration, distance)
    at = np.asarray(at, dtype=float)
    if np.any(at < 1):
        raise ValueError(f"iteration {at.min():g}: the log axis starts at iteration 1")
    positive = iteration > 0
    if not positive.any():
        return np.full(at.shape, math.inf)
    logs = np.interp(np.log(at), np.log(iteration[positive]), _log(distance[positive]))
    return np.where(at > iteration[-1], math.inf, np.exp(logs))


def deviation_dex(
    curve: tuple[ArrayLike, ArrayLike], reference: tuple[ArrayLike, ArrayLike], after: float = 1
) -> float:
    """Largest |log10(curve / reference)| on the reference's points from iteration `after` on.

    Both are (iteration, distance). +inf where the curve ends (diverges) before the reference does.

    >>> deviation_dex(([1, 10], [1.0, 0.1]), ([1, 10], [1.0, 0.2])).__round__(4)
    0.301
    """
    at, value = (np.asarray(column, dtype=float) for column in reference)
    kept = at >= max(after, 1)
    if not kept.any():
        raise ValueError(f"after = {after:g}: the reference ends at iteration {at.max():g}")
    return float(np.abs(np.log10(distance_at(*curve, at[kept]) / value[kept])).max())


def _curve(
    iteration: ArrayLike, distance: ArrayLike, target: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    iteration, distance = (np.asarray(column, dtype=float) for column in (iteration, distance))
    if not 0 < distance.size <= iteration.size or not np.isfinite(distance).all():
        raise ValueError(
            f"{distance.size} distances on {iteration.size} iterations: a curve has at least one, "
            "no more than iterations, all finite (a diverged one ends before it diverges)"
        )
    if not (target > 0 and math.isfinite(target)):
        raise ValueError(f"target = {target}: a target is a positive, finite distance")
    return iteration[: distance.size], distance


def _log(distance: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(distance, TINY))
