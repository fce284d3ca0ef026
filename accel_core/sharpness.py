"""Sharpness: the largest eigenvalue of the Hessian of a training loss.

Of a network's loss in all its parameters: `Curvature`. Of the single layer's loss in W: the closed
form `single_layer_sharpness`. Gradient descent on a quadratic is stable below rate 2/sharpness.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from accel_core.models import Architecture, end_to_end
from accel_core.problem import Problem

__all__ = ["Curvature", "single_layer_hessian", "single_layer_sharpness"]

Array = NDArray[np.float64]


def single_layer_hessian(problem: Problem, end_to_end: Array) -> Array:
    """Hessian (d, d) of the loss of one output at W (1, d): p(p−1)/n Σ |r|^{p−2} x xᵀ.

    For p = 2 that is 2XᵀX/n, whatever W is. `ValueError` for several outputs.
    """
    if problem.k != 1:
        raise ValueError(f"{problem.k} outputs: this Hessian is for one; pass each output alone")
    if problem.X is None:
        return 2 * problem.moments.xx
    r = problem.X @ np.ravel(end_to_end) - problem.y[:, 0]
    weights = problem.p * (problem.p - 1) / len(r) * np.abs(r) ** (problem.p - 2)
    return (problem.X.T * weights) @ problem.X


def single_layer_sharpness(problem: Problem, end_to_end: Array) -> float:
    """Largest eigenvalue of `single_layer_hessian`.

    >>> problem = Problem([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0], p=4)
    >>> single_layer_sharpness(problem, np.zeros((1, 2)))
    24.0
    """
    return float(np.linalg.eigvalsh(single_layer_hessian(problem, end_to_end))[-1])


class Curvature:
    """Loss, gradient and Hessian of a linear network on a problem, at flat parameters, float64.

    For p = 2 from the second moments, otherwise from the rows.
    """

    def __init__(self, problem: Problem, shape: Architecture):
        self.problem, self.shape = problem, shape
        if problem.p == 2:
            m = problem.moments.with_bias() if shape.bias else problem.moments
            self._xx, self._xy, self._yy = (torch.as_tensor(a) for a in (m.xx, m.xy, m.yy))
        else:
            self._X, self._y = torch.as_tensor(problem.X), torch.as_tensor(problem.y)

    def loss(self, flat: torch.Tensor) -> torch.Tensor:
        """The loss as a differentiable function of the flat parameters."""
        W = end_to_end(*self.shape.unpack(flat, self.problem.d, self.problem.k))
        if self.problem.p == 2:
            return (W @ self._xx * W).sum() - 2 * (W * self._xy.T).sum() + self._yy.trace()
        d = self.problem.d
        r = self._X @ W[:, :d].T - self._y + (W[:, d] if self.shape.bias else 0)
        return r.abs().pow(self.problem.p).sum(1).mean()

    def gradient(self, flat: Array) -> Array:
        """∂L/∂θ at θ."""
        theta = torch.tensor(flat, requires_grad=True)
        return torch.autograd.grad(self.loss(theta), theta)[0].numpy()

    def top(self, flat: Array, guess: Array | None = None) -> tuple[float, Array]:
        """Largest eigenvalue of the Hessian at θ and its eigenvector (unit, sign arbitrary).

        `guess` speeds the search up; without one it begins at the gradient.
        """
        theta = torch.tensor(flat, requires_grad=True)
        (slope,) = torch.autograd.grad(self.loss(theta), theta, create_graph=True)

        def product(v: Array) -> Array:
            (Hv,) = torch.autograd.grad(slope, theta, torch.as_tensor(v.ravel()), retain_graph=True)
            return Hv.numpy()

        n = len(flat)
        start = slope.detach().numpy() if guess is None else guess
        operator = LinearOperator((n, n), matvec=product, dtype=float)
        # 'LA': the largest, not the largest in absolute value: a saddle may be steeper downwards
        values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=1e-6)
        return float(values[0]), vectors[:, 0]
