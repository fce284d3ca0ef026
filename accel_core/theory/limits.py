"""What the theory leaves out, in formulas: the saddle at zero, weight decay, unbalanced layers."""

import math

import numpy as np

from accel_core.models import imbalance
from accel_core.theory.layers import Matrix, Weights


def escape_time(depth: int, start: float, end: float, slope: float) -> float:
    """Return the time in which ‖w‖ grows from ``start`` to ``end`` along −∇L¹, of norm ``slope``.

    One output, w along the descent direction, gradient taken as constant: d‖w‖/dt =
    N‖w‖^{2−2/N}·slope (Claim 2). Linear for N = 1, logarithmic for N = 2, and (start^{−(1−2/N)} −
    end^{−(1−2/N)})/((N−2)·slope) beyond. ValueError unless 0 < start ≤ end. Implements thm-escape,
    eq-escape.
    """
    if not (0 < start <= end and slope > 0):
        raise ValueError(
            f"start {start}, end {end}, slope {slope}: 0 < start ≤ end and slope > 0 are needed"
        )
    if depth == 2:
        return math.log(end / start) / (2 * slope)
    power = 2 / depth - 1
    return (end**power - start**power) / ((2 - depth) * slope)


def escape_threshold(depth: int, weight_decay: float, slope: float) -> float:
    """Return the ‖w‖ below which weight decay λ pulls w to 0 for good, N ≥ 3: (λ/slope)^{N/(N−2)}.

    d‖w‖/dt = N‖w‖(‖w‖^{1−2/N}·slope − λ). For N = 2 no such norm exists (w escapes where slope >
    λ), for N = 1 zero is no rest point: ValueError. Implements thm-decay-threshold,
    eq-decay-threshold.
    """
    if depth < 3:
        raise ValueError(f"depth {depth}: the threshold exists from depth 3 up")
    return (weight_decay / slope) ** (depth / (depth - 2))


def unbalanced_bound(weights: Weights, gradient: Matrix) -> float:
    """Return a bound on ‖velocity − Theorem 1's‖ (spectral) for two layers: (‖W_1‖+‖W_2‖)‖D‖^½‖G‖.

    (W_2W_2ᵀ)² = WWᵀ + W_2DW_2ᵀ and the square root is operator monotone, so W_2W_2ᵀ differs from
    (WWᵀ)^½ by at most ‖W_2‖·‖D‖^½; likewise for W_1. ValueError for another depth. Implements
    thm-unbalanced, eq-unbalanced-bound.
    """
    if len(weights) != 2:
        raise ValueError(f"{len(weights)} layers: the bound is derived for two")
    (gap,) = imbalance(weights)
    norms = sum(float(np.linalg.norm(layer, 2)) for layer in weights)
    return norms * math.sqrt(np.linalg.norm(gap, 2)) * float(np.linalg.norm(gradient, 2))
