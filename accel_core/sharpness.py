"""Sharpness: the largest eigenvalue of the Hessian of a training loss.

Of a network's loss in all its parameters: `sharpness`. Of the single layer's loss in W: the closed
form `single_layer_sharpness`. Gradient descent on a quadratic is stable below rate 2/sharpness.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from accel_core.models import Architecture
from accel_core.problem import Problem

Array = NDArray[np.float64]

DENSE = 20  # parameters up to which the whole Hessian is formed: less than Lanczos' own basis


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


def sharpness(
    problem: Problem, architecture: Architecture, flat: Array, guess: Array | None = None
) -> tuple[float, Array]:
    """Largest eigenvalue at the flat parameters, and its eigenvector (unit, sign arbitrary).

    A `guess` of the eigenvector, as from a nearby point, shortens the search.

    >>> problem = Problem([[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0])  # Hessian of one layer: diag(1, 4)
    >>> round(sharpness(problem, Architecture(1), np.zeros(2))[0], 9)
    4.0
    """
    return largest_eigenvalue(hessian_product(problem, architecture, flat), len(flat), guess)


def largest_eigenvalue(
    product: Callable[[Array], Array], n: int, guess: Array | None = None
) -> tuple[float, Array]:
    """Largest eigenvalue (not in absolute value: a saddle may be steeper downwards) of a symmetric
    matrix (n, n) known by its products with vectors, and its eigenvector; by Lanczos."""
    if n <= DENSE:
        values, vectors = np.linalg.eigh(np.stack([product(row) for row in np.eye(n)]))
        return float(values[-1]), vectors[:, -1]
    start = np.random.default_rng(0).standard_normal(n) if guess is None else guess
    operator = LinearOperator((n, n), matvec=lambda v: product(v.ravel()), dtype=float)
    # the eigenvalue's error is the square of the eigenvector's
    values, vectors = eigsh(operator, k=1, which="LA", v0=start, tol=1e-8)
    return float(values[0]), vectors[:, 0]


def hessian_product(
    problem: Problem, architecture: Architecture, flat: Array
) -> Callable[[Array], Array]:
    """v ↦ ∇²L(θ) v at the flat parameters θ, exactly.

    With P_j = W_j⋯W_1 (biases as a last column), S_j = W_N⋯W_{j+1} and G = dL/dW_e the gradient is
    ∂L/∂W_j = S_jᵀ G P_{j−1}ᵀ and ∂L/∂b_j = S_jᵀ dL/db_e; the product is its derivative along v.
    """
    d, k, bias = problem.d, problem.k, architecture.bias

    def along(W: list[Array], P: list[Array], V: list[Array], c: list[Array]) -> list[Array]:
        """Derivatives of P_0 … P_N along layers V and biases c."""
        out = [np.zeros((d, d + bias))]
        for j in range(len(W)):
            out.append(V[j] @ P[j] + W[j] @ out[j])
            if bias:
                out[-1][:, -1] += c[j]
        return out

    W, P, end = _forward(problem, architecture, flat)
    G, curved = problem.gradient(*end), _loss_curvature(problem, *end)

    def product(v: Array) -> Array:
        V, c = architecture.unpack(v, d, k)
        dP = along(W, P, V, c)
        S, dS, dG = np.eye(k), np.zeros((k, k)), curved(dP[-1])
        parts = []
        for j in range(len(W) - 1, -1, -1):
            both = dS.T @ G + S.T @ dG
            if bias:
                parts.append(both[:, -1])
            parts.append((both @ P[j].T + S.T @ G @ dP[j].T).ravel())
            S, dS = S @ W[j], dS @ W[j] + S @ V[j]
        return np.concatenate(parts[::-1])

    return product


def gradient(problem: Problem, architecture: Architecture, flat: Array) -> Array:
    """∇L(θ), flat, at the flat parameters θ."""
    W, P, end = _forward(problem, architecture, flat)
    S, parts = problem.gradient(*end), []  # S_jᵀ G
    for j in range(len(W) - 1, -1, -1):
        if architecture.bias:
            parts.append(S[:, -1])
        parts.append((S @ P[j].T).ravel())
        S = W[j].T @ S
    return np.concatenate(parts[::-1])


def _forward(problem: Problem, architecture: Architecture, flat: Array):
    """Layers W_j, products P_0 … P_N, and W_e with b_e (or None)."""
    W, b = architecture.unpack(flat, problem.d, problem.k)
    P = [np.eye(problem.d, problem.d + architecture.bias)]
    for j in range(len(W)):
        P.append(W[j] @ P[j])
        if b:
            P[-1][:, -1] += b[j]
    return W, P, (P[-1][:, : problem.d], P[-1][:, -1] if b else None)


def _loss_curvature(problem: Problem, W: Array, b: Array | None) -> Callable[[Array], Array]:
    """dW ↦ the derivative along dW of the loss's gradient in W_e (and b_e, as a last column)."""
    if problem.p == 2:
        m = problem.moments if b is None else problem.moments.with_bias()
        return lambda dW: 2 * dW @ m.xx
    X = problem.X if b is None else np.hstack([problem.X, np.ones((len(problem.X), 1))])
    r = problem.X @ W.T - problem.y + (0 if b is None else b)
    p = problem.p
    weight = p * (p - 1) / len(X) * np.abs(r) ** (p - 2)
    return lambda dW: (weight * (X @ dW.T)).T @ X
