"""The deep linear network x ↦ W_N⋯W_1 x (+ biases): its shape, its flat parameters, its product.

`weights` is [W_1, …, W_N] with W_j of shape (n_j, n_{j−1}); n_0 = d inputs, n_N = k outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from accel_core.initializers import Initializer

Array = NDArray[np.float64]


def whole(name: str, value: object, least: int) -> int:
    """`value` as an int: whole numbers of any numeric type, 1e3 and np.int64(3) among them.

    >>> whole("iterations", 1e3, least=0)
    1000
    >>> whole("depth", 1.5, least=1)
    Traceback (most recent call last):
    ValueError: depth = 1.5: must be a whole number from 1 up
    """
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or value != value // 1 or value < least:
        raise ValueError(f"{name} = {value!r}: must be a whole number from {least} up")
    return int(value)


@dataclass(frozen=True)
class Architecture:
    """Depth N, the width of the N−1 hidden layers, and whether every layer has a bias.

    `width` is one number for all hidden layers, or a list of them from the first to the last.

    >>> Architecture(depth=3, width=2).sizes(d=5)
    (5, 2, 2, 1)
    >>> Architecture(depth=3, width=[10, 20]).sizes(d=5)
    (5, 10, 20, 1)
    >>> Architecture(depth=3, width=2).count(d=5)
    16
    """

    depth: int = 1
    width: int | tuple[int, ...] = 1
    bias: bool = False

    def __post_init__(self):
        depth, width = whole("depth", self.depth, 1), self.width
        if np.ndim(width):
            width = tuple(whole("width", each, 1) for each in width)
            if len(width) != depth - 1:
                raise ValueError(
                    f"width = {width}: {len(width)} hidden layers, but depth {depth} has "
                    f"{depth - 1}; name one width for all of them, or one each"
                )
            # one and the same network has one specification
            width = width[0] if len(set(width)) == 1 else width or 1
        else:
            width = whole("width", width, 1)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "width", width)

    def sizes(self, d: int, k: int = 1) -> tuple[int, ...]:
        """Layer sizes (n_0, …, n_N) = (d, width, …, width, k)."""
        hidden = self.width if isinstance(self.width, tuple) else [self.width] * (self.depth - 1)
        return (d, *hidden, k)

    def count(self, d: int, k: int = 1) -> int:
        """Number of parameters."""
        sizes = self.sizes(d, k)
        return sum((n + self.bias) * m for n, m in pairwise(sizes))

    def start(self, initializer: Initializer, seed: int, d: int, k: int = 1) -> Array:
        """Flat parameters (W_1, b_1, …, W_N, b_N), row-major, drawn with the given seed."""
        rng = np.random.default_rng(seed)
        sizes = self.sizes(d, k)
        weights = initializer(sizes, rng)
        biases = initializer.biases(sizes, rng) if self.bias else [()] * self.depth
        return np.concatenate(
            [np.append(W, b) for W, b in zip(weights, biases, strict=True)], dtype=float
        )

    def unpack(self, flat: Array, d: int, k: int = 1) -> tuple[list[Array], list[Array]]:
        """Views of the flat parameters: weights W_j (n_j, n_{j−1}), and biases b_j (n_j,) or []."""
        sizes, weights, biases, at = self.sizes(d, k), [], [], 0
        for n, m in pairwise(sizes):
            weights.append(flat[at : at + m * n].reshape(m, n))
            at += m * n
            if self.bias:
                biases.append(flat[at : at + m])
                at += m
        return weights, biases


def end_to_end(weights: Sequence[Array], biases: Sequence[Array] = ()) -> Array:
    """W_N⋯W_1 (k, d), with the end-to-end bias as a last column where biases are given.

    Works on NumPy arrays and on torch tensors. `ValueError` where neighbouring shapes do not fit.

    >>> end_to_end([np.array([[1.0, 2.0]]), np.array([[3.0]])])
    array([[3., 6.]])
    """
    require_chain(weights)
    product, offset = weights[0], biases[0][:, None] if len(biases) else None
    for j, W in enumerate(weights[1:], start=1):
        product = W @ product
        offset = W @ offset + biases[j][:, None] if offset is not None else None
    if offset is None:
        return product
    if isinstance(product, np.ndarray):
        return np.hstack([product, offset])
    import torch  # not at the top: most users never need it

    return torch.hstack([product, offset])


def imbalance(weights: Sequence[Array]) -> list[Array]:
    """D_j = W_{j+1}ᵀW_{j+1} − W_jW_jᵀ, shape (n_j, n_j), for j = 1, …, N−1.

    The network is *balanced* where all of them vanish (paper, Theorem 1, condition on the start).

    Implements eq-balanced; conserved by the flow, thm-balance.

    >>> imbalance([np.eye(2), np.diag([2.0, 1.0])])[0]
    array([[3., 0.],
           [0., 0.]])
    """
    require_chain(weights)
    return [after.T @ after - before @ before.T for before, after in pairwise(weights)]


def balancedness(weights: Sequence[Array], norm: str | int = "fro") -> float:
    """max_j ‖D_j‖, Frobenius or (`norm=2`) spectral: 0 exactly where Theorem 1's assumption holds.

    Implements eq-balanced.

    >>> balancedness([np.eye(2), 2 * np.eye(2)])
    4.242640687119285
    """
    return max((float(np.linalg.norm(gap, norm)) for gap in imbalance(weights)), default=0.0)


def require_chain(weights: Sequence[Array]) -> None:
    """`ValueError` unless these matrices can be multiplied, in this order."""
    if not len(weights):
        raise ValueError("no layers were given: a linear network has at least one matrix")
    for number, (before, after) in enumerate(pairwise(weights), start=1):
        if after.shape[1] != before.shape[0]:
            raise ValueError(
                f"W_{number + 1} of shape {tuple(after.shape)} cannot follow W_{number} of shape "
                f"{tuple(before.shape)}: its number of columns must be {before.shape[0]}"
            )
