"""Depth-N linear networks as lists of matrices: gradients, balancedness, gradient flow, cases.

``weights`` is [W_1, …, W_N] with W_j of shape (n_j, n_{j-1}); n_0 = d inputs, n_N = k outputs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from accel_core.initializers import factor_balanced
from accel_core.models import balancedness, end_to_end, require_chain

Matrix = NDArray[np.float64]
Weights = Sequence[Matrix]


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
    return Case(weights, end_to_end(weights), rng.standard_normal(shape))


def layer_gradients(weights: Weights, gradient: Matrix) -> list[Matrix]:
    """Return ∂L^N/∂W_j = (W_N⋯W_{j+1})ᵀ · dL¹/dW · (W_{j-1}⋯W_1)ᵀ for j = 1, …, N.

    ``gradient`` is dL¹/dW at the end-to-end matrix, shape (k, d); paper, proof of Theorem 1.
    Implements eq-layer-gradient.
    """
    return [
        after.T @ gradient @ before.T for before, after in _neighbourhoods(weights, gradient.shape)
    ]


def descend(
    weights: Weights, gradient: Matrix, rate: float, weight_decay: float = 0.0
) -> list[Matrix]:
    """Return the weights after one step W_j ← (1 − ηλ)W_j − η ∂L^N/∂W_j on every layer at once.
    Implements eq-layer-descent.
    """
    gradients = layer_gradients(weights, gradient)
    return [
        (1 - rate * weight_decay) * layer - rate * slope
        for layer, slope in zip(weights, gradients, strict=True)
    ]


def end_to_end_velocity(weights: Weights, gradient: Matrix, weight_decay: float = 0.0) -> Matrix:
    """Return d/dt (W_N⋯W_1), shape (k, d), under the layers' gradient flow, by the product rule.

    Nothing is assumed of the weights: this is the side of Theorem 1 that knows the layers.
    Implements eq-product-rule.
    """
    velocity = np.zeros_like(end_to_end(weights))
    slopes = layer_gradients(weights, gradient)
    around = _neighbourhoods(weights, gradient.shape)
    for (before, after), layer, slope in zip(around, weights, slopes, strict=True):
        velocity -= after @ (slope + weight_decay * layer) @ before
    return velocity


def defect(weights: Weights) -> float:
    """Return max_j ‖D_j‖ in the spectral norm; 0 for one layer."""
    return balancedness(weights, norm=2)


def gradient_flow(
    weights: Weights,
    gradient_of: Callable[[Matrix], Matrix],
    times: Matrix,
    weight_decay: float = 0.0,
    rtol: float = 1e-11,
) -> list[list[Matrix]]:
    """Integrate Ẇ_j = −∂L^N/∂W_j − λW_j and return the weights at every one of ``times``.

    Dormand-Prince of order 8 (``scipy.integrate.solve_ivp``); RuntimeError if it gives up.
    Implements eq-layer-descent.
    """
    shapes = [layer.shape for layer in weights]
    cuts = np.cumsum([layer.size for layer in weights])[:-1]

    def unpack(state: Matrix) -> list[Matrix]:
        return [
            part.reshape(shape) for part, shape in zip(np.split(state, cuts), shapes, strict=True)
        ]

    def right_hand_side(_: float, state: Matrix) -> Matrix:
        layers = unpack(state)
        slopes = layer_gradients(layers, gradient_of(end_to_end(layers)))
        return -np.concatenate([slope.ravel() for slope in slopes]) - weight_decay * state

    start = np.concatenate([layer.ravel() for layer in weights])
    return [unpack(state) for state in integrate(right_hand_side, start, times, rtol)]


def integrate(
    right_hand_side: Callable[[float, Matrix], Matrix], start: Matrix, times: Matrix, rtol: float
) -> Matrix:
    """Return the states, one row a time, of an initial value problem (absolute tolerance rtol/100).

    The absolute tolerance is below the relative one because weights near zero matter: their
    error comes back as its (2/N)-th power.
    """
    solution = solve_ivp(
        right_hand_side,
        (float(times[0]), float(times[-1])),
        start,
        method="DOP853",
        t_eval=times,
        rtol=rtol,
        atol=rtol / 100,
    )
    if not solution.success:
        raise RuntimeError(
            f"the solver stopped at t = {solution.t[-1]:.3g} of {times[-1]:.3g} "
            f"({solution.message}): shorten the horizon or start nearer to the optimum"
        )
    return solution.y.T


def _neighbourhoods(weights: Weights, shape: tuple[int, ...]) -> list[tuple[Matrix, Matrix]]:
    """Return (W_{j-1}⋯W_1, W_N⋯W_{j+1}) for every j, identities at the ends."""
    require_chain(weights)
    outputs, inputs = weights[-1].shape[0], weights[0].shape[1]
    if shape != (outputs, inputs):
        raise ValueError(
            f"the gradient has shape {shape}, the end-to-end matrix {(outputs, inputs)}: "
            "pass dL¹/dW"
        )
    before, after = [np.eye(inputs)], [np.eye(outputs)]
    for layer in weights[:-1]:
        before.append(layer @ before[-1])
    for layer in weights[:0:-1]:
        after.append(after[-1] @ layer)
    return list(zip(before, after[::-1], strict=True))
