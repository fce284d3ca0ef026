"""Small objectives L¹ of a vector, by their gradient and second derivative (Theorem 2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Quadratic:
    """⟨w, U⟩ + ½⟨w, Hw⟩ for vectors w (…, d): linear where H = 0, isotropic where H = hI."""

    slope: Array  # U (d,)
    curvature: Array  # H (d, d), symmetric

    def gradient(self, w: Array) -> Array:
        """Return U + Hw, shape (…, d)."""
        return self.slope + w @ self.curvature

    def hessian(self, w: Array) -> Array:
        """Return H (d, d), the same at every w."""
        return self.curvature


@dataclass(frozen=True)
class Radial:
    """⟨w, U⟩ + ‖w‖⁴/4 for vectors w (…, d): not quadratic, yet ∇²L¹(w)·w is parallel to w."""

    slope: Array  # U (d,)

    def gradient(self, w: Array) -> Array:
        """Return U + ‖w‖²w, shape (…, d)."""
        return self.slope + np.sum(w * w, axis=-1, keepdims=True) * w

    def hessian(self, w: Array) -> Array:
        """Return ‖w‖²I + 2wwᵀ for one w (d,)."""
        return float(w @ w) * np.eye(w.size) + 2 * np.outer(w, w)


@dataclass(frozen=True)
class Separable:
    """Σ_i |w_i − y_i|^p / p for vectors w (…, d), as in the paper's section 7.

    The loss of eq-two-points-loss.
    """

    target: Array  # y (d,)
    power: float = 4.0

    def value(self, w: Array) -> Array:
        """Return the objective over the last axis."""
        return np.sum(np.abs(w - self.target) ** self.power, axis=-1) / self.power

    def gradient(self, w: Array) -> Array:
        """Return |w − y|^{p−1} sign(w − y), shape (…, d)."""
        residual = w - self.target
        return np.abs(residual) ** (self.power - 1) * np.sign(residual)

    def hessian(self, w: Array) -> Array:
        """Return diag((p−1)|w − y|^{p−2}) for one w (d,)."""
        return np.diag((self.power - 1) * np.abs(w - self.target) ** (self.power - 2))
