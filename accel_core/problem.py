"""The regression problem: ℓp loss of a linear map, its gradient, and its optimum.

The loss is the mean over rows of Σ_outputs |residual|^p: no 1/p and no ½, the convention that the
paper's printed curves follow. Its text divides by p: that loss is `problem.loss(W) / problem.p`,
and gradient descent on it at rate η is gradient descent on ours at rate η/p.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel_core import optimum
from accel_core.optimum import NearlyCollinear, Optimum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Second moments of a data set: all that an ℓ2 problem needs of it.

    Shapes: `xx` (d, d) = XᵀX/n, `xy` (d, k) = Xᵀy/n, `yy` (k, k) = yᵀy/n, `x` (d,) and `y` (k,)
    the columns' means, `n` the number of rows.
    """

    xx: Array
    xy: Array
    yy: Array
    x: Array
    y: Array
    n: int

    @classmethod
    def of(cls, X: Array, y: Array) -> Moments:
        """The moments of X (n, d) and y (n, k) or (n,)."""
        n, y = len(X), y[:, None] if np.ndim(y) == 1 else y
        return cls(X.T @ X / n, X.T @ y / n, y.T @ y / n, X.mean(0), y.mean(0), n)

    def with_bias(self) -> Moments:
        """The moments of the data with a column of ones appended to the features."""
        xx = np.block([[self.xx, self.x[:, None]], [self.x[None, :], np.ones((1, 1))]])
        return Moments(
            xx, np.vstack([self.xy, self.y]), self.yy, np.append(self.x, 1.0), self.y, self.n
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """ℓp regression of y (n, k) on X (n, d); a vector y is taken as one output.

    Raises `ValueError` for p < 2, shapes that do not agree, and values that are not finite. With
    `X=None` only second moments are at hand (see `from_moments`) and p must be 2.

    >>> problem = Problem(X=[[1.0, 0.0], [0.0, 1.0]], y=[1.0, 2.0], p=4)
    >>> problem.loss([[0.0, 0.0]])
    8.5
    >>> problem.gradient(np.zeros((1, 2)))
    array([[ -2., -16.]])
    >>> problem.optimum().end_to_end.round(6)
    array([[1., 2.]])
    """

    X: Array | None
    y: Array | None
    p: float = 2.0
    moments_: Moments | None = None

    def __post_init__(self):
        if not (np.isfinite(self.p) and self.p >= 2):
            raise ValueError(f"p = {self.p!r}: the exponent of the loss must be a number from 2 up")
        if self.X is None:
            if self.moments_ is None or self.p != 2:
                raise ValueError(
                    f"p = {self.p:g} without rows: second moments determine the loss only for "
                    "p = 2; pass X and y"
                )
            return
        X, y = np.ascontiguousarray(self.X, float), np.asarray(self.y, float)
        y = y[:, None] if y.ndim == 1 else y
        if X.ndim != 2 or y.ndim != 2 or len(X) != len(y) or len(X) == 0:
            raise ValueError(
                f"X has shape {np.shape(self.X)} and y {np.shape(self.y)}: wanted (n, d) and (n,) "
                "or (n, k) with the same n > 0"
            )
        for name, values in (("X", X), ("y", y)):
            if not np.isfinite(values).all():
                row, column = np.argwhere(~np.isfinite(values))[0]
                raise ValueError(
                    f"{name}[{row}, {column}] = {values[row, column]}: every value must be finite; "
                    "drop or impute the row"
                )
        object.__setattr__(self, "X", X)
        object.__setattr__(self, "y", np.ascontiguousarray(y))

    @classmethod
    def from_moments(cls, moments: Moments) -> Problem:
        """An ℓ2 problem known by its second moments alone."""
        return cls(None, None, 2.0, moments)

    @cached_property
    def moments(self) -> Moments:
        """Second moments of the rows, or those given in their place."""
        return Moments.of(self.X, self.y) if self.moments_ is None else self.moments_

    @property
    def d(self) -> int:
        """Number of features."""
        return len(self.moments.x) if self.X is None else self.X.shape[1]

    @property
    def k(self) -> int:
        """Number of outputs."""
        return len(self.moments.y) if self.y is None else self.y.shape[1]

    def loss(self, end_to_end: Array, bias: Array | None = None) -> float:
        """Loss of x ↦ W x + b: W (k, d), b (k,)."""
        if self.X is None:
            m, W = self._augmented(end_to_end, bias)
            return float(np.trace(m.yy) - 2 * np.sum(W * m.xy.T) + np.sum((W @ m.xx) * W))
        r = self._residual(end_to_end, bias)
        return float(np.mean(np.sum(np.abs(r) ** self.p, axis=1)))

    def evaluate(self, X: Array, y: Array, end_to_end: Array) -> float:
        """The same loss on other rows, held-out ones say; `end_to_end` as a `Result` has it.

        >>> Problem([[1.0], [2.0]], [1.0, 2.0], p=4).evaluate([[3.0]], [5.0], [[1.0]])
        16.0
        """
        W = np.atleast_2d(end_to_end)
        return Problem(X, y, self.p).loss(W[:, : self.d], W[:, -1] if W.shape[1] > self.d else None)

    def losses(self, ends: Array, bias: bool = False) -> Array:
        """ℓ2 losses (m,) of end-to-end matrices (m, k, d + bias), b in the last column.

        The optimum plus a square: exact near the optimum, where the loss itself would cancel, and
        never below it.
        """
        best = self.optimum(bias)
        if best.condition < optimum.FACTORED:
            m = self.moments.with_bias() if bias else self.moments
            gaps = ends - best.end_to_end
            # copies: some BLAS kernels sum in another order where a vector begins elsewhere
            squares = np.array([np.vdot(gap @ m.xx, gap) for gap in map(np.copy, gaps)])
            return np.maximum(best.loss + squares, 0.0)  # a square may round to just below zero
        R, z, rest = self._factors(bias)
        return rest + np.array([np.sum((W @ R.T - z.T) ** 2) for W in map(np.copy, ends)])

    def gradient(self, end_to_end: Array, bias: Array | None = None) -> Array:
        """dL/dW (k, d), with dL/db appended as a last column where a bias is given."""
        if self.X is None:
            m, W = self._augmented(end_to_end, bias)
            return 2 * (W @ m.xx - m.xy.T)
        r = self._residual(end_to_end, bias)
        c = self.p / len(r) * np.sign(r) * np.abs(r) ** (self.p - 1)
        G = c.T @ self.X
        return G if bias is None else np.hstack([G, c.sum(0)[:, None]])

    def _residual(self, W: Array, b: Array | None) -> Array:
        r = self.X @ np.atleast_2d(W).T - self.y
        return r if b is None else r + b

    def _augmented(self, W: Array, b: Array | None) -> tuple[Moments, Array]:
        W = np.atleast_2d(W)
        if b is None:
            return self.moments, W
        return self.moments.with_bias(), np.hstack([W, np.reshape(b, (-1, 1))])

    def optimum(self, bias: bool = False) -> Optimum:
        """The minimum over W (and b): least squares for p = 2, damped Newton for p > 2.

        `end_to_end` carries b as its last column where `bias` is set.
        """
        return self._optimum_with_bias if bias else self._optimum

    @cached_property
    def _optimum(self) -> Optimum:
        return self._solve(False)

    @cached_property
    def _optimum_with_bias(self) -> Optimum:
        return self._solve(True)

    @cached_property
    def _factored(self) -> dict[bool, tuple[Array, Array, float]]:
        return {}

    def _factors(self, bias: bool) -> tuple[Array, Array, float]:
        """What `losses` needs where the features are nearly collinear; computed once."""
        if bias not in self._factored:
            m, X = self.moments.with_bias() if bias else self.moments, self._rows(bias)
            self._factored[bias] = (
                optimum.factors_of_moments(m.xx, m.xy, m.yy)
                if X is None
                else optimum.factors_of_rows(X, self.y)
            )
        return self._factored[bias]

    def _solve(self, bias: bool) -> Optimum:
        split = (lambda W: (W[:, :-1], W[:, -1])) if bias else (lambda W: (W, None))
        m, X = self.moments.with_bias() if bias else self.moments, self._rows(bias)
        features, label = (m.xx, m.xy) if X is None else (X, self.y)
        W, _, rank, spread = np.linalg.lstsq(features, label, rcond=None)
        W, power = W.T, 2 if X is None else 1
        condition = float(spread[0] / spread[rank - 1]) ** (1 / power) if rank else 1.0
        if condition >= optimum.WARNED:
            columns = optimum.collinear(features, power)
            warnings.warn(NearlyCollinear(columns, condition), stacklevel=4)
        if self.p > 2:
            W = np.vstack(
                [optimum.newton(X, y, self.p, w) for y, w in zip(self.y.T, W, strict=True)]
            )
        gradient = self.gradient(*split(W))
        if self.p == 2 and condition >= optimum.FACTORED:
            loss = self._factors(bias)[2]
        else:
            loss = self.loss(*split(W))
        error = optimum.error(self, X, m.xx, W, gradient, loss)
        return Optimum(loss, W, float(np.linalg.norm(gradient)), condition, error)

    def _rows(self, bias: bool) -> Array | None:
        """X, with a column of ones where there is a bias; None without rows."""
        if self.X is None or not bias:
            return self.X
        return np.hstack([self.X, np.ones((len(self.X), 1))])
