"""Two points ([1,0], y_1), ([0,1], y_2): how the end-to-end rule's iterations scale (section 7).

Loss (1/p)Σ|w_i − y_i|^p, y_1 ≥ y_2 > 0. Definitions used throughout:
*start* w = δy_2(cos φ, sin φ)·√2 (plain diagonal at φ = 45°); *target* |w_i − y_i| ≤ ε·y_i for
both i; the *horizon* is the number of iterations after which a run counts as censored; a rate is
*stable* if its run reaches the target within the horizon and never leaves ‖w‖ ≤ 4y_1 before.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_core.engine.compiled import compiled

Vector = NDArray[np.float64]
BOUND = 4.0  # ‖w‖ beyond this many y_1 is a divergence
DIVERGED = -1
CENSORED = -2


class TwoPoints(NamedTuple):
    """The problem with its start, target and horizon."""

    ratio: float  # y_1/y_2, with y_2 = 1
    power: float = 4.0  # p
    start: float = 0.1  # δ
    angle: float = 45.0  # φ in degrees
    tolerance: float = 0.5  # ε
    horizon: int = 2_000_000


def iterations(problem: TwoPoints, depth: int, rates: Vector) -> NDArray[np.int64]:
    """Return for every rate the iterations to the target, ``DIVERGED`` or ``CENSORED``.

    Depth 1 is plain gradient descent. ValueError for p < 2, ratio < 1, tolerance not in (0, 1).
    """
    if not (problem.power >= 2 and problem.ratio >= 1 and 0 < problem.tolerance < 1):
        raise ValueError(f"{problem}: needs power ≥ 2, ratio ≥ 1 and 0 < tolerance < 1")
    length = problem.start * math.sqrt(2.0)
    w_1 = length * math.cos(math.radians(problem.angle))
    w_2 = length * math.sin(math.radians(problem.angle))
    return np.array(
        [
            _run(w_1, w_2, problem.ratio, problem.power, depth, float(rate), problem.tolerance,
                 problem.horizon)
            for rate in rates
        ]
    )  # fmt: skip


def trajectory(problem: TwoPoints, depth: int, rate: float, steps: int) -> Vector:
    """Return w at iterations 0, …, steps, shape (steps + 1, 2); NaN after a divergence."""
    length = problem.start * math.sqrt(2.0)
    angle = math.radians(problem.angle)
    path = np.full((steps + 1, 2), np.nan)
    w = path[0] = np.array([length * math.cos(angle), length * math.sin(angle)])
    for step in range(1, steps + 1):
        w = np.array(_step(w[0], w[1], problem.ratio, problem.power, depth, rate))
        if not np.hypot(*w) <= BOUND * problem.ratio:
            break
        path[step] = w
    return path


class StableRates(NamedTuple):
    """What a scan of a fine grid of rates shows."""

    largest: float  # every rate of the grid up to here is stable
    iterations: int  # at that rate
    best: float  # the rate up to ``largest`` with the fewest iterations
    best_iterations: int
    islands: int  # separate groups of stable rates above the first that is not


def stable_rates(problem: TwoPoints, depth: int, points: int = 100) -> StableRates:
    """Scan rates from 0.5 to 12 times the rate of monotone descent on a log grid.

    The horizon is four times what the lowest rate needs: beyond that a run has not converged but
    oscillates. ValueError where the lowest rate is not stable, or all are.
    """
    rates = monotone_rate(problem, depth) * np.geomspace(0.5, 12.0, points)
    (longest,) = iterations(problem, depth, rates[:1])
    counts = iterations(problem._replace(horizon=4 * max(1, int(longest))), depth, rates)
    stable = counts >= 0
    if longest < 0 or stable.all():
        raise ValueError(
            f"{problem} at depth {depth}: no edge of stability between rates {rates[0]:.3g} and "
            f"{rates[-1]:.3g}; raise the horizon, or start nearer to zero"
        )
    first = int(np.argmin(stable))  # the first rate that is not stable
    best = int(np.argmin(counts[:first]))
    islands = np.count_nonzero(stable[1:] & ~stable[:-1])
    return StableRates(
        float(rates[first - 1]), int(counts[first - 1]), float(rates[best]), int(counts[best]),
        int(islands),
    )  # fmt: skip


def scaling(
    power: float,
    depths: list[int],
    ratios: list[float],
    angles: list[float],
    points: int = 100,
    **problem: float,
) -> list[dict[str, float]]:
    """Return a row for every depth, ratio y_1/y_2 and starting angle: the scan of its rates."""
    return [
        {"p": power, "depth": depth, "ratio": ratio, "angle": angle}
        | stable_rates(TwoPoints(ratio, power, angle=angle, **problem), depth, points)._asdict()
        for depth in depths
        for ratio in ratios
        for angle in angles
    ]


def monotone_constant(power: float, depth: int) -> float:
    """Return c with η = c·y_1^{−(p−2/N)} the largest rate at which w_1 never overshoots.

    With u = w_1/y_1 the step is u + cN u^a(1−u)^{p−1}, a = 2−2/N: it stays below 1 for all u
    exactly where cN·max u^a(1−u)^{p−2} ≤ 1, and the maximum lies at u = a/(a+p−2). Implements
    thm-monotone-rate, eq-monotone.

    >>> round(monotone_constant(4, 2), 6)
    3.375
    """
    a, b = 2 - 2 / depth, power - 2
    return (a + b) ** (a + b) / (depth * a**a * b**b)


def monotone_rate(problem: TwoPoints, depth: int) -> float:
    """Return the largest rate at which coordinate 1 alone never overshoots, in absolute terms."""
    exponent = problem.power - 2 / depth
    return monotone_constant(problem.power, depth) * problem.ratio**-exponent


def crawl(problem: TwoPoints, depth: int, rate: float) -> float:
    """Return the predicted iterations of coordinate 2 once w_1 ≈ y_1.

    Its residual r obeys ṙ = −ηy_1^{2−2/N}|r|^{p−1}, so r^{−(p−2)} grows by (p−2)ηy_1^{2−2/N} a
    step, from 1 (y_2 = 1, w_2 ≈ 0) to ε^{−(p−2)}; for p = 2 it is log(1/r) that grows. Implements
    thm-crawl, eq-crawl.
    """
    gap = problem.power - 2
    growth = (problem.tolerance**-gap - 1) / gap if gap > 0 else -math.log(problem.tolerance)
    return growth / (rate * problem.ratio ** (2 - 2 / depth))


@partial(compiled, fastmath=False)
def _power(x, exponent):
    # x ≥ 0; the whole powers of ℓ2 to ℓ4 and depth 2's root are several times faster than pow
    if exponent == 1.0:
        return x
    if exponent == 2.0:
        return x * x
    if exponent == 3.0:
        return x * x * x
    if exponent == 0.5:
        return math.sqrt(x)
    return x**exponent


@partial(compiled, fastmath=False)
def _step(w_1, w_2, y_1, power, depth, rate):
    r_1, r_2 = w_1 - y_1, w_2 - 1.0
    g_1 = math.copysign(_power(abs(r_1), power - 1.0), r_1)
    g_2 = math.copysign(_power(abs(r_2), power - 1.0), r_2)
    square = w_1 * w_1 + w_2 * w_2
    factor = _power(square, 1.0 - 1.0 / depth)
    along = (depth - 1.0) * (w_1 * g_1 + w_2 * g_2) / square if square > 0.0 else 0.0
    return (w_1 - rate * factor * (g_1 + along * w_1), w_2 - rate * factor * (g_2 + along * w_2))


@partial(compiled, fastmath=False)
def _run(w_1, w_2, y_1, power, depth, rate, tolerance, horizon):
    bound = (BOUND * y_1) ** 2
    for step in range(horizon + 1):
        if abs(w_1 - y_1) <= tolerance * y_1 and abs(w_2 - 1.0) <= tolerance:
            return step
        w_1, w_2 = _step(w_1, w_2, y_1, power, depth, rate)
        if not w_1 * w_1 + w_2 * w_2 <= bound:
            return DIVERGED
    return CENSORED
