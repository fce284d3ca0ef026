"""The warm-up: one vector times one scalar, w = w_1·w_2 (paper, section 3)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Coefficients(NamedTuple):
    """The first-order rule w ← w − ρ∇ − γw: adaptive rate and weight of the past."""

    adaptive_rate: float  # ρ = η w_2²
    shrinkage: float  # γ = η w_2⁻¹ ∂L/∂w_2


def factored_step(
    vector: Vector, scalar: float, gradient: Vector, rate: float
) -> tuple[Vector, float]:
    """Return w_1 − η w_2 ∇ (d,) and w_2 − η⟨w_1, ∇⟩, both from the old values.
    Implements eq-warmup-product.
    """
    return vector - rate * scalar * gradient, scalar - rate * float(vector @ gradient)


def coefficients(vector: Vector, scalar: float, gradient: Vector, rate: float) -> Coefficients:
    """Return ρ and γ; ValueError at w_2 = 0, where γ has no meaning. Implements eq-warmup."""
    if scalar == 0:
        raise ValueError("w_2 = 0: γ = η w_2⁻¹ ∂L/∂w_2 is not defined; start elsewhere")
    return Coefficients(rate * scalar**2, rate * float(vector @ gradient) / scalar)


def first_order_step(w: Vector, gradient: Vector, rule: Coefficients) -> Vector:
    """Return w − ρ∇ − γw (d,). Implements thm-warmup, eq-warmup."""
    return w - rule.adaptive_rate * gradient - rule.shrinkage * w


def dropped_term(w: Vector, gradient: Vector, rate: float) -> Vector:
    """Return what the first-order rule leaves out of the product's exact step: η²⟨w, ∇⟩∇ (d,).
    Implements eq-warmup-exact.
    """
    return rate**2 * float(w @ gradient) * gradient


def gradient_weights(rates: Vector, shrinkages: Vector) -> Vector:
    """Return μ_τ = −ρ_τ Π_{s>τ}(1 − γ_s), shape (t,): the past gradients' weights in w at time t.

    With the start's own share w⁽⁰⁾ Π_s(1 − γ_s), Σ_τ μ_τ ∇_τ is w⁽ᵗ⁾. Implements thm-memory,
    eq-memory.
    """
    later = np.append(np.cumprod((1 - shrinkages)[::-1])[::-1][1:], 1.0)
    return -rates * later
