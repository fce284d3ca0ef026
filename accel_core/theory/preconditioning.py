"""Depth as a preconditioner: the right-hand side of Theorem 1, Claim 1's matrix, Claim 2's rule.

Every field here is a descent direction: the flow is Ẇ = −η · field, a step W ← W − η · field.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from accel_core.models import Array
from accel_core.theory.layers import Matrix, integrate


class SingularSystem(NamedTuple):
    """Full decomposition of a (k, d) matrix; both lists of singular values are zero-padded."""

    left: Matrix  # (k, k), the columns are u_r
    left_values: Array  # (k,)
    right: Matrix  # (d, d), the columns are v_r
    right_values: Array  # (d,)


def singular_system(matrix: Matrix, threshold: float | None = None) -> SingularSystem:
    """Decompose; singular values up to ``threshold``·σ_1, by default max(k, d)·ε·σ_1, become 0.

    Without that threshold a zero singular value comes back as about εσ_1, and its power 2/N as
    (εσ_1)^{2/N}: 6e-6 at N = 6. What is cut off wrongly is at most the threshold's 2/N-th power.
    """
    if matrix.ndim != 2:
        raise ValueError(f"a matrix (k, d) is needed, not an array of shape {matrix.shape}")
    left, sigma, right = np.linalg.svd(matrix)
    if threshold is None:
        threshold = max(matrix.shape) * np.finfo(float).eps
    sigma = np.where(sigma > threshold * sigma[0], sigma, 0.0)
    rows, columns = matrix.shape
    left_values = np.concatenate([sigma, np.zeros(rows - sigma.size)])
    right_values = np.concatenate([sigma, np.zeros(columns - sigma.size)])
    return SingularSystem(left, left_values, right.T, right_values)


def left_power(system: SingularSystem, exponent: float) -> Matrix:
    """Return [WWᵀ]^exponent, shape (k, k); [·]^0 is the identity, also on the kernel."""
    return (system.left * system.left_values ** (2 * exponent)) @ system.left.T


def right_power(system: SingularSystem, exponent: float) -> Matrix:
    """Return [WᵀW]^exponent, shape (d, d); [·]^0 is the identity, also on the kernel."""
    return (system.right * system.right_values ** (2 * exponent)) @ system.right.T


def end_to_end_field(
    matrix: Matrix,
    gradient: Matrix,
    depth: int,
    weight_decay: float = 0.0,
    threshold: float | None = None,
) -> Matrix:
    """Return λNW + Σ_{j=1}^N [WWᵀ]^{(j−1)/N} · G · [WᵀW]^{(N−j)/N}, shape (k, d); Theorem 1.

    ``threshold`` is the rank threshold of ``singular_system``. Implements thm-end-to-end,
    eq-end-to-end.

    >>> end_to_end_field(np.diag([4.0, 1.0]), np.eye(2), depth=2)
    array([[8., 0.],
           [0., 2.]])
    """
    _require(depth, matrix, gradient)
    system = singular_system(matrix, threshold)
    field = weight_decay * depth * matrix
    for j in range(1, depth + 1):
        left = left_power(system, (j - 1) / depth)
        right = right_power(system, (depth - j) / depth)
        field = field + left @ gradient @ right
    return field


def preconditioner(matrix: Matrix, depth: int) -> Matrix:
    """Return P_W = Σ_j [WᵀW]^{(N−j)/N} ⊗ [WWᵀ]^{(j−1)/N}, shape (kd, kd); Claim 1.

    It acts on vec(G), the columns of G stacked. Implements thm-preconditioner, eq-preconditioner.

    >>> np.linalg.eigvalsh(preconditioner(np.diag([4.0, 1.0]), depth=2)).round(6)
    array([2., 5., 5., 8.])
    """
    _require(depth, matrix, matrix)
    system = singular_system(matrix)
    total = np.zeros((matrix.size, matrix.size))
    for j in range(1, depth + 1):
        right = right_power(system, (depth - j) / depth)
        left = left_power(system, (j - 1) / depth)
        total += np.kron(right, left)
    return total


def preconditioner_eigensystem(matrix: Matrix, depth: int) -> tuple[Array, Matrix]:
    """Return the kd eigenvalues of P_W and its eigenvectors vec(u_r v_{r'}ᵀ) as columns; Claim 1.

    The eigenvalue of (r, r') is Σ_j σ_r^{2(N−j)/N} σ_{r'}^{2(j−1)/N}, with σ^0 = 1 also at σ = 0.
    Implements thm-spectrum, eq-spectrum.
    """
    _require(depth, matrix, matrix)
    system = singular_system(matrix)
    j = np.arange(1, depth + 1)
    left = system.left_values[:, None] ** (2 * (depth - j) / depth)
    right = system.right_values[:, None] ** (2 * (j - 1) / depth)
    values = (right @ left.T).ravel()  # r' is the slow index, as in vec(u_r v_{r'}ᵀ)
    return values, np.kron(system.right, system.left)


def adaptive_factor(w: Array, depth: int) -> Array:
    """Return ‖w‖^{2−2/N} over the last axis, kept; at w = 0 it is 0 (1 for one layer); Claim 2."""
    return np.linalg.norm(w, axis=-1, keepdims=True) ** (2 - 2 / depth)


def project(w: Array, v: Array) -> Array:
    """Return Pr_w{v} = (w/‖w‖)⟨w/‖w‖, v⟩ over the last axis, and 0 at w = 0; Claim 2.
    Implements eq-projection.
    """
    length = np.linalg.norm(w, axis=-1, keepdims=True)
    unit = np.divide(w, length, out=np.zeros_like(w, dtype=float), where=length > 0)
    return unit * np.sum(unit * v, axis=-1, keepdims=True)


def single_output_field(w: Array, gradient: Array, depth: int, weight_decay: float = 0.0) -> Array:
    """Return λNw + ‖w‖^{2−2/N}(g + (N−1) Pr_w{g}) over the last axis (…, d); Claim 2.

    The update w ← w − η · field is the *emulation* of a depth-N network with one output. Implements
    thm-one-output, eq-one-output.

    >>> single_output_field(np.array([3.0, 0.0]), np.array([1.0, 1.0]), depth=2)
    array([6., 3.])
    """
    _require(depth, w, gradient)
    pull = gradient + (depth - 1) * project(w, gradient)
    return weight_decay * depth * w + adaptive_factor(w, depth) * pull


def schatten_gradient(matrix: Matrix, depth: int) -> Matrix:
    """Return the gradient U Σ^{2/N−1} Vᵀ of (N/2)·Σ_r σ_r^{2/N}, shape (k, d), for full rank.

    (N/2)Σσ^{2/N} is ½Σ_j‖W_j‖² of balanced layers, so P_W times this is NW: what Theorem 1's weight
    decay does. ValueError where a singular value is 0: the function has a kink there. Implements
    thm-decay-potential, eq-schatten.
    """
    _require(depth, matrix, matrix)
    left, sigma, right = np.linalg.svd(matrix, full_matrices=False)
    if sigma[-1] <= max(matrix.shape) * np.finfo(float).eps * sigma[0]:
        raise ValueError(
            f"smallest singular value {sigma[-1]:.3g}: σ^(2/N) has no slope at 0; pass a matrix of "
            "full rank"
        )
    return (left * sigma ** (2 / depth - 1)) @ right


def end_to_end_flow(
    matrix: Matrix,
    gradient_of: Callable[[Matrix], Matrix],
    depth: int,
    times: Array,
    weight_decay: float = 0.0,
    rtol: float = 1e-11,
    threshold: float | None = None,
) -> list[Matrix]:
    """Integrate Theorem 1's closed equation, knowing no layers; the matrices at ``times``.

    Where the rank is deficient, give a ``threshold`` above the solver's errors: these come back as
    their (2/N)-th power, rough enough to make the solver crawl. Implements eq-end-to-end.
    """
    shape = matrix.shape

    def right_hand_side(_: float, state: Array) -> Array:
        current = state.reshape(shape)
        gradient = gradient_of(current)
        return -end_to_end_field(current, gradient, depth, weight_decay, threshold).ravel()

    states = integrate(right_hand_side, matrix.ravel(), times, rtol)
    return [state.reshape(shape) for state in states]


def _require(depth: int, matrix: Array, gradient: Array) -> None:
    if depth != int(depth) or depth < 1:
        raise ValueError(f"depth {depth!r}: a whole number of layers from 1 up is needed")
    if matrix.shape[-1] != gradient.shape[-1]:
        raise ValueError(
            f"the gradient has shape {gradient.shape}, the weights {matrix.shape}: they must agree"
        )
