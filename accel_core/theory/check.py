"""Each numbered statement as a number: the error of its two sides, and what it may be.

A check compares quantities that were computed along different ways. Its tolerance is derived where
it stands, from machine precision ε and the case at hand, and covers rounding only.
"""

from typing import NamedTuple

import numpy as np

from accel_core.initializers import factor_balanced
from accel_core.models import Array
from accel_core.theory import layers
from accel_core.theory.layers import Matrix, Weights

EPS = float(np.finfo(float).eps)
# A product of N matrices of size n is off by about nNε times the product of their norms; LAPACK's
# singular values and vectors of graded matrices alone by up to 11nε (measured over 3,000 cases).
ROUNDINGS = 16


class Check(NamedTuple):
    """A statement's label in the book, the error found and the largest that rounding explains."""

    statement: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Say whether the error is within the tolerance; never for NaN."""
        return bool(self.error <= self.tolerance)


class Case(NamedTuple):
    """Balanced layers, their end-to-end matrix, and a gradient there."""

    weights: list[Matrix]
    matrix: Matrix
    gradient: Matrix

    @property
    def depth(self) -> int:
        """Return the number of layers."""
        return len(self.weights)


def balanced_case(
    rng: np.random.Generator,
    depth: int,
    shape: tuple[int, int],
    rank: int,
    scale: float = 1.0,
    spread: float = 1e-3,
    extra: int = 1,
) -> Case:
    """Draw balanced layers with end-to-end ``shape`` (k, d) and ``rank``; hidden widths vary.

    Singular values lie between ``spread``·``scale`` and ``scale``, both present from rank 2 up.
    """
    values = scale * spread ** np.linspace(0.0, 1.0, rank)
    left, right = (np.linalg.qr(rng.standard_normal((size, size)))[0][:, :rank] for size in shape)
    target = (left * values) @ right.T
    hidden = [rank + int(rng.integers(0, extra + 1)) for _ in range(depth - 1)]
    weights = factor_balanced(target, (shape[1], *hidden, shape[0]), rng)
    return Case(weights, layers.end_to_end(weights), rng.standard_normal(shape))


def fractional_tolerance(case: Case) -> float:
    """Return the rounding error of a fractional power's field, relative to σ_1^{2−2/N}‖G‖N.

    Computed singular values are off by e = c·ε·σ_1. A factor σ^{2a} of the field has its least
    smooth exponent at q = 2a = min(1, 2/N); with s = σ/σ_1 its error is at most q·s^{q−1}·e, which
    is largest at the smallest nonzero s (zero ones are cut off by the rank threshold).
    """
    sigma = np.linalg.svd(case.matrix, compute_uv=False)
    sigma = sigma[sigma > max(case.matrix.shape) * EPS * sigma[0]] / sigma[0]
    q = min(1.0, 2 / case.depth)
    size = max(max(layer.shape) for layer in case.weights)
    return ROUNDINGS * size * case.depth * EPS * float(sigma[-1] ** (q - 1))


def rounding(weights: Weights) -> float:
    """Return the relative rounding error of products of these layers."""
    return ROUNDINGS * len(weights) * max(max(layer.shape) for layer in weights) * EPS


def field_size(case: Case) -> float:
    """Return a bound on the norm of every field of this case: Nσ_1^{2−2/N}‖G‖."""
    top = float(np.linalg.norm(case.matrix, 2))
    return case.depth * top ** (2 - 2 / case.depth) * norm(case.gradient)


def norm(array: Array) -> float:
    """Return the Frobenius norm as a float."""
    return float(np.linalg.norm(array))
