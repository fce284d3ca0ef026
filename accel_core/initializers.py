"""Starts: how the weights W_1 … W_N and biases of a linear network are drawn.

Each initializer is a frozen value object; calling it with the layers' sizes (n_0, …, n_N) and a
NumPy generator gives the list of weights, W_j of shape (n_j, n_{j−1}); `biases` gives the biases,
drawn after the weights. A start depends on nothing but (initializer, sizes, seed): every rate gets
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from accel_core.models import end_to_end

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Initializer:
    """Base of the initializers."""

    def __call__(self, sizes: Sequence[int], rng: np.random.Generator) -> list[Array]:
        return [self.weight((m, n), rng) for n, m in pairwise(sizes)]

    def weight(self, shape: tuple[int, int], rng: np.random.Generator) -> Array:
        """One weight matrix of the given shape."""
        raise NotImplementedError

    def biases(self, sizes: Sequence[int], rng: np.random.Generator) -> list[Array]:
        """The biases b_j (n_j,): zero, unless an initializer says otherwise."""
        return [np.zeros(m) for m in sizes[1:]]


@dataclass(frozen=True)
class NearZero(Initializer):
    """Every weight N(0, std²). Not balanced, but within O(std²) of it.

    >>> W1, W2 = NearZero(0.01)((3, 1, 2), np.random.default_rng(0))
    >>> W1.shape, W2.shape
    ((1, 3), (2, 1))
    """

    std: float = 0.01

    def __post_init__(self):
        if not (np.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"NearZero(std={self.std!r}): std must be finite and not negative")

    def weight(self, shape, rng):
        return self.std * rng.standard_normal(shape)


@dataclass(frozen=True)
class IdentityOffset(NearZero):
    """N(0, std²) plus 1 on the main diagonal, whatever the shape (the paper's "identity
    initialization"). Balanced at std = 0 only where all sizes are equal.

    >>> IdentityOffset(0.0)((2, 3), np.random.default_rng(0))[0]
    array([[1., 0.],
           [0., 1.],
           [0., 0.]])
    """

    def weight(self, shape, rng):
        return np.eye(*shape) + super().weight(shape, rng)


@dataclass(frozen=True)
class SemiOrthogonal(Initializer):
    """Uniform semi-orthogonal: orthonormal rows or columns, whichever are fewer (the distribution
    of `torch.nn.init.orthogonal_`; Levy & Wang's "near identity"). Balanced only between square
    layers.

    >>> (W,) = SemiOrthogonal()((3, 2), np.random.default_rng(0))
    >>> bool(np.allclose(W @ W.T, np.eye(2)))
    True
    """

    def weight(self, shape, rng):
        tall = max(shape), min(shape)
        q, r = np.linalg.qr(rng.standard_normal(tall))
        q = q * np.sign(np.diag(r))  # makes the distribution uniform (Haar)
        return np.ascontiguousarray(q if shape == tall else q.T)


@dataclass(frozen=True)
class TorchDefault(Initializer):
    """PyTorch's default for `nn.Linear`: weights, biases uniform in ±1/√n_{j−1}. Not balanced."""

    def weight(self, shape, rng):
        bound = 1 / np.sqrt(shape[1])
        return rng.uniform(-bound, bound, shape)

    def biases(self, sizes, rng):
        return [rng.uniform(-1 / np.sqrt(n), 1 / np.sqrt(n), m) for n, m in pairwise(sizes)]


@dataclass(frozen=True)
class Balanced(Initializer):
    """W_{j+1}ᵀW_{j+1} = W_jW_jᵀ, with a drawn end-to-end matrix N(0, std²): `factor_balanced`.
    Implements eq-balanced.

    >>> from accel_core.models import balancedness
    >>> weights = Balanced()((3, 2, 2), np.random.default_rng(0))
    >>> balancedness(weights) < 1e-15
    True
    """

    std: float = 0.01

    def __call__(self, sizes, rng):
        product = self.std * rng.standard_normal((sizes[-1], sizes[0]))
        return factor_balanced(product, sizes, rng)


@dataclass(frozen=True)
class EndToEndOf(NearZero):
    """For a single layer: the end-to-end matrix W_N⋯W_1 of a network whose weights are N(0, std²).

    The network has `depth` layers and hidden width `width`; its weights are those that
    `NearZero(std)` draws with the same seed, or (`independent`) others of the same distribution.
    """

    depth: int = 2
    width: int = 1
    independent: bool = False

    def __call__(self, sizes, rng):
        if len(sizes) != 2:
            raise ValueError(
                f"{self!r} starts a single layer, and there are {len(sizes) - 1}: use it at depth 1"
            )
        rng = rng.spawn(1)[0] if self.independent else rng
        weights = super().__call__((sizes[0], *[self.width] * (self.depth - 1), sizes[1]), rng)
        return [end_to_end(weights)]


def factor_balanced(product: Array, sizes: Sequence[int], rng: np.random.Generator) -> list[Array]:
    """Balanced weights of the given sizes whose product W_N⋯W_1 is `product` (n_N, n_0).

    With product = U S Vᵀ, W_j = Q_j S^{1/N} Q_{j−1}ᵀ for random Q_j with orthonormal columns, Q_0 =
    V and Q_N = U. Raises `ValueError` where a hidden width is below the rank. Implements
    eq-balanced.
    """
    if np.shape(product) != (sizes[-1], sizes[0]):
        raise ValueError(
            f"the product has shape {np.shape(product)}: layers of these sizes make "
            f"{(sizes[-1], sizes[0])}"
        )
    U, s, Vt = np.linalg.svd(product, full_matrices=False)
    rank = int(np.sum(s > s[0] * max(product.shape) * np.finfo(float).eps)) if s.size else 0
    if min(sizes) < rank:
        raise ValueError(
            f"hidden width {min(sizes)} is below the rank {rank} of the wanted end-to-end matrix: "
            f"use widths of at least {rank}"
        )
    U, s, Vt = U[:, :rank], s[:rank], Vt[:rank]
    hidden = [SemiOrthogonal().weight((n, rank), rng) if rank else np.zeros((n, 0)) for n in sizes]
    Q = [Vt.T, *hidden[1:-1], U]
    root = s ** (1 / (len(sizes) - 1))
    return [(after * root) @ before.T for before, after in pairwise(Q)]
