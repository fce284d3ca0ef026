"""Orders of convergence: what finite learning rates do to statements about the flow."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.integrate import simpson
from scipy.stats import linregress, t, theilslopes

from accel_core.models import Array
from accel_core.theory.layers import (
    Matrix,
    Weights,
    defect,
    descend,
    end_to_end,
    gradient_flow,
    layer_gradients,
)
from accel_core.theory.preconditioning import single_output_field

GradientOf = Callable[[Matrix], Matrix]


class Order(NamedTuple):
    """A fitted exponent with its 95 % interval."""

    exponent: float
    low: float
    high: float


def fit_order(sizes: Array, errors: Array) -> Order:
    """Fit errors ~ sizes^exponent by least squares on logarithms; Student's interval.

    ValueError for fewer than three points or a value that is not positive.
    """
    sizes, errors = _positive(sizes, errors)
    fit = linregress(np.log(sizes), np.log(errors))
    half = t.ppf(0.975, sizes.size - 2) * fit.stderr
    return Order(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def robust_order(sizes: Array, errors: Array) -> Order:
    """Fit as ``fit_order`` does, but by the median of all pairs' slopes (Theil and Sen), with the
    95 % interval of Kendall's test: for counts of which some fall far out of line.
    """
    sizes, errors = _positive(sizes, errors)
    if np.ptp(errors) == 0:  # nothing but ties, of which the test knows no distribution
        return Order(0.0, 0.0, 0.0)
    slope, _, low, high = theilslopes(np.log(errors), np.log(sizes), 0.95)
    return Order(float(slope), float(low), float(high))


def descent(
    weights: Weights, gradient_of: GradientOf, rate: float, steps: int, weight_decay: float = 0.0
) -> list[Matrix]:
    """Return the weights after ``steps`` of gradient descent on every layer."""
    layers = list(weights)
    for _ in range(steps):
        layers = descend(layers, gradient_of(end_to_end(layers)), rate, weight_decay)
    return layers


def escape_steps(
    weights: Weights, gradient_of: GradientOf, rate: float, end: float, budget: int = 100_000
) -> int:
    """Return the steps of gradient descent until the end-to-end matrix has the norm ``end``.

    RuntimeError where ``budget`` steps do not suffice.
    """
    layers = list(weights)
    for step in range(budget + 1):
        matrix = end_to_end(layers)
        if np.linalg.norm(matrix) >= end:
            return step
        layers = descend(layers, gradient_of(matrix), rate)
    raise RuntimeError(f"norm {end} was not reached in {budget} steps: raise budget or rate")


def balance_drift(weights: Weights, gradient_of: GradientOf, rate: float, horizon: float) -> float:
    """Return max_j ‖D_j‖ after descent over the time ``horizon`` = rate × steps."""
    return defect(descent(weights, gradient_of, rate, round(horizon / rate)))


def predicted_drift(weights: Weights, gradient_of: GradientOf, horizon: float) -> float:
    """Return the limit of ``balance_drift``/η as η → 0, for a balanced start.

    One step changes D_j by exactly η²(G_{j+1}ᵀG_{j+1} − G_jG_jᵀ), so the drift is η times the
    integral of that along the flow (Simpson's rule on 401 points). Implements thm-drift,
    eq-drift-limit.
    """
    times = np.linspace(0.0, horizon, 401)
    path = gradient_flow(weights, gradient_of, times)
    rates_of_change = [_second_order(layers, gradient_of) for layers in path]
    return max(
        float(np.linalg.norm(simpson(np.array(series), x=times, axis=0), 2))
        for series in zip(*rates_of_change, strict=True)
    )


def emulation_gap(weights: Weights, gradient_of: GradientOf, rate: float, horizon: float) -> float:
    """Return the largest distance over the time ``horizon`` between W_e of the network under
    gradient descent and the single layer under Claim 2's update, from the same W_e, one output.
    Implements thm-emulation.
    """
    layers = list(weights)
    single = end_to_end(layers)
    depth, gap = len(layers), 0.0
    for _ in range(round(horizon / rate)):
        layers = descend(layers, gradient_of(end_to_end(layers)), rate)
        single = single - rate * single_output_field(single, gradient_of(single), depth)
        gap = max(gap, float(np.linalg.norm(end_to_end(layers) - single)))
    return gap


def _positive(sizes: Array, errors: Array) -> tuple[Array, Array]:
    sizes, errors = np.asarray(sizes, dtype=float), np.asarray(errors, dtype=float)
    if sizes.size < 3 or not ((sizes > 0).all() and (errors > 0).all()):
        raise ValueError(
            f"sizes {sizes}, errors {errors}: at least three positive pairs are needed"
        )
    return sizes, errors


def _second_order(weights: Weights, gradient_of: GradientOf) -> list[Matrix]:
    slopes = layer_gradients(weights, gradient_of(end_to_end(weights)))
    return [after.T @ after - before @ before.T for before, after in pairwise(slopes)]
