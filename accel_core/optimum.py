"""The optimum of the regression problem, and how well it is known: condition and error.

Everything here takes the features as rows X (n, D), a column of ones among them where there is a
bias, or as second moments M = XᵀX/n (D, D).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EPS = float(np.finfo(float).eps)
ROUND_OFF = 1e-14  # relative, of a loss that is a mean of thousands of terms
#: From this condition number of X on, ‖W*‖ is so large that (W−W*)ᵀM(W−W*) cancels: it is off by up
#: to ε·condition² of the label's variance. The loss is then computed from a factor of X.
FACTORED = 1e5
#: From this one on a warning is given: of the optimum's 16 digits the moments keep four.
WARNED = 1e6


class NearlyCollinear(UserWarning):
    """Columns (`columns`, counted from 0) of which one is nearly a combination of the others, so
    that the optimum's weights mean little; `condition` is the features' condition number."""

    def __init__(self, columns: list[int], condition: float):
        self.columns, self.condition = columns, condition
        super().__init__(
            f"columns {columns} (counted from 0) are nearly collinear (condition number "
            f"{condition:.0e}): losses are right, but the optimum's weights mean little and no "
            "descent will reach them; leave one of the columns out"
        )


@dataclass(frozen=True)
class Optimum:
    """The least loss that a linear map reaches, where, and how well it is known.

    `loss`; `end_to_end` (k, d); `gradient_norm`: Frobenius norm of dL/dW there; `condition`:
    condition number of the features, directions that are zero up to rounding left out; `error`: by
    how much losses near the optimum may be off, so that no distance below it means anything.
    """

    loss: float
    end_to_end: Array
    gradient_norm: float
    condition: float
    error: float


def collinear(features: Array, power: int) -> list[int]:
    """The columns of the directions in which the features hardly vary; `features` are X (power 1)
    or M (power 2), whose singular values are the squares of X's."""
    _, s, Vt = np.linalg.svd(features, full_matrices=False)
    weight = np.abs(Vt[s * WARNED**power <= s[0]]).max(0)
    return np.flatnonzero(weight > 0.01 * weight.max()).tolist()


def factors_of_rows(X: Array, y: Array) -> tuple[Array, Array, float]:
    """R (·, D), z (·, k) and a rest with ℓ2 loss(W) = rest + ‖R Wᵀ − z‖²: nothing but squares.

    Directions in which X is zero up to rounding are left out.
    """
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    kept = s > max(X.shape) * EPS * s[0]
    U, R = U[:, kept], s[kept, None] * Vt[kept]
    z, n = U.T @ y, len(X)
    return R / np.sqrt(n), z / np.sqrt(n), float(np.sum((y - U @ z) ** 2) / n)


def factors_of_moments(xx: Array, xy: Array, yy: Array) -> tuple[Array, Array, float]:
    """The same from second moments, which know no direction below √(Dε) of the largest."""
    values, V = np.linalg.eigh(xx)
    kept = values > len(values) * EPS * values[-1]
    root, V = np.sqrt(values[kept, None]), V[:, kept]
    z = V.T @ xy / root
    return root * V.T, z, max(float(np.trace(yy) - np.sum(z**2)), 0.0)


def error(problem, X: Array | None, xx: Array, W: Array, gradient: Array, loss: float) -> float:
    """What rounding does to distances near the optimum W, plus what the solver has left.

    For p = 2 losses are optimum + square, so that only the sum rounds. For p > 2 residuals are off
    by about ε(|x|·|w| + |y|), which the loss feels through p|r|^{p−1}. What is left is Newton's
    decrement ½ gᵀH⁻¹g.
    """
    if problem.p == 2:
        step = np.linalg.lstsq(2 * xx, gradient.T, rcond=None)[0]
        return float(4 * EPS * loss + max(np.sum(step * gradient.T), 0) / 2)
    r, left = np.abs(X @ W.T - problem.y), 0.0
    off = r + EPS * (np.abs(X) @ np.abs(W).T + np.abs(problem.y))
    for g, column in zip(gradient, r.T, strict=True):
        root = np.sqrt(problem.p * (problem.p - 1) / len(X)) * column ** (problem.p / 2 - 1)
        half = np.linalg.lstsq((X * root[:, None]).T, g, rcond=None)[0]
        left += float(half @ half) / 2
    return float(4 * EPS * loss + np.mean(np.sum(off**problem.p - r**problem.p, axis=1))) + left


def newton(X: Array, y: Array, p: float, w: Array, steps: int = 200) -> Array:
    """Minimise mean |Xw − y|^p from the least-squares solution by Newton with backtracking.

    The Hessian is p(p−1)/n Σ |r|^{p−2} x xᵀ, so the step is a weighted least-squares solve; it is
    taken through the rows (not XᵀX) since ethanol's features have condition number 7e4.
    """

    def loss_and_slope(w):
        r = X @ w - y
        return np.mean(np.abs(r) ** p), np.linalg.norm(X.T @ (np.sign(r) * np.abs(r) ** (p - 1)))

    value, slope = loss_and_slope(w)
    for _ in range(steps):
        r = X @ w - y
        root = np.abs(r) ** (p / 2 - 1)
        step = np.linalg.lstsq(X * root[:, None], root * r / (p - 1), rcond=None)[0]
        for t in 0.5 ** np.arange(40):
            loss, flatter = loss_and_slope(w - t * step)
            # at the optimum round-off hides which of two losses is less, but not which slope is
            if loss < value * (1 - ROUND_OFF) or (
                loss < value * (1 + ROUND_OFF) and flatter < slope
            ):
                w, value, slope = w - t * step, loss, flatter
                break
        else:
            break
    return w
