"""Sharpness: the largest eigenvalue of the Hessian of the training loss in all parameters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from accel_core.models import Architecture
from accel_core.problem import Problem

__all__ = ["Curvature"]

Array = NDArray[np.float64]


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
        weights, biases = self._unpack(flat)
        W = weights[0]
        b = biases[0][:, None] if biases else None
        for j, layer in enumerate(weights[1:], start=1):
            W, b = layer @ W, layer @ b + biases[j][:, None] if biases else None
        if self.problem.p == 2:
            W = torch.hstack([W, b]) if biases else W
            return (W @ self._xx * W).sum() - 2 * (W * self._xy.T).sum() + self._yy.trace()
        r = self._X @ W.T - self._y + (b.T if biases else 0)
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

    def _unpack(self, flat: torch.Tensor):
        return self.shape.unpack(flat, self.problem.d, self.problem.k)
