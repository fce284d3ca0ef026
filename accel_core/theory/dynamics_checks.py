"""Checks of the dynamics: warm-up, balancedness, Theorem 1, Claims 1 and 2, and their limits."""

import numpy as np

from accel_core.models import Array, imbalance
from accel_core.theory import layers, limits, preconditioning, warmup
from accel_core.theory.check import (
    EPS,
    ROUNDINGS,
    Case,
    Check,
    field_size,
    fractional_tolerance,
    norm,
    rounding,
)
from accel_core.theory.layers import Matrix, Weights


def warmup_identity(w_1: Array, w_2: float, g: Array, rate: float) -> Check:
    """The product's step is the first-order rule plus the dropped term, exactly."""
    new_1, new_2 = warmup.factored_step(w_1, w_2, g, rate)
    rule = warmup.coefficients(w_1, w_2, g, rate)
    w = w_1 * w_2
    predicted = warmup.first_order_step(w, g, rule) + warmup.dropped_term(w, g, rate)
    # A product of two sums: rounding is relative to the sums of their terms' norms, multiplied.
    size = (norm(w_1) + rate * abs(w_2) * norm(g)) * (abs(w_2) + rate * norm(w_1) * norm(g))
    return Check("thm-warmup", norm(new_1 * new_2 - predicted), ROUNDINGS * w.size * EPS * size)


def warmup_memory(rng: np.random.Generator, steps: int, dimension: int) -> Check:
    """Weighted past gradients plus the start's share are the first-order rule's iterate."""
    start = w = rng.standard_normal(dimension)
    gradients = rng.standard_normal((steps, dimension))
    rates, shrinkages = rng.uniform(0, 0.2, steps), rng.uniform(-0.1, 0.2, steps)
    for g, rate, shrinkage in zip(gradients, rates, shrinkages, strict=True):
        w = warmup.first_order_step(w, g, warmup.Coefficients(rate, shrinkage))
    memory = warmup.gradient_weights(rates, shrinkages) @ gradients
    rebuilt = memory + start * np.prod(1 - shrinkages)
    size = 1.1**steps * (norm(start) + float(np.abs(gradients).sum()))
    return Check("thm-memory", norm(w - rebuilt), ROUNDINGS * steps * EPS * size)


def imbalance_conserved(weights: Weights, gradient: Matrix, weight_decay: float) -> Check:
    """dD_j/dt = −2λD_j under the flow, for any weights, balanced or not.
    Checks thm-balance, eq-balance-flow.
    """
    slopes = layers.layer_gradients(weights, gradient)
    speeds = [-slope - weight_decay * w for slope, w in zip(slopes, weights, strict=True)]
    error = 0.0
    for j, gap in enumerate(imbalance(weights)):
        after, before = weights[j + 1].T @ speeds[j + 1], weights[j] @ speeds[j].T
        change = after + after.T - before - before.T
        error = max(error, norm(change + 2 * weight_decay * gap))
    # Every cancelling term is W_j times its gradient: at most ‖G‖·Π‖W_i‖, whichever j.
    norms = np.array([norm(layer) for layer in weights])
    size = norm(gradient) * float(norms.prod()) + weight_decay * float(norms.max()) ** 2
    return Check("thm-balance", error, rounding(weights) * size)


def imbalance_step(weights: Weights, gradient: Matrix, rate: float, weight_decay: float) -> Check:
    """One step of descent changes D_j to (1−ηλ)²D_j + η²(G_{j+1}ᵀG_{j+1} − G_jG_jᵀ), exactly.
    Checks thm-drift, eq-drift.
    """
    slopes = layers.layer_gradients(weights, gradient)
    new = imbalance(layers.descend(weights, gradient, rate, weight_decay))
    error = 0.0
    for j, gap in enumerate(imbalance(weights)):
        kick = slopes[j + 1].T @ slopes[j + 1] - slopes[j] @ slopes[j].T
        predicted = (1 - rate * weight_decay) ** 2 * gap + rate**2 * kick
        error = max(error, norm(new[j] - predicted))
    norms = np.array([norm(layer) for layer in weights])
    steepest = max(norm(gradient) * float(np.delete(norms, j).prod()) for j in range(len(weights)))
    size = ((1 + rate * weight_decay) * float(norms.max()) + rate * steepest) ** 2
    return Check("thm-drift", error, rounding(weights) * size)


def theorem_1(case: Case, weight_decay: float = 0.0) -> Check:
    """The closed right-hand side is the product rule's velocity of balanced layers."""
    velocity = layers.end_to_end_velocity(case.weights, case.gradient, weight_decay)
    field = preconditioning.end_to_end_field(case.matrix, case.gradient, case.depth, weight_decay)
    size = field_size(case) + weight_decay * case.depth * norm(case.matrix)
    return Check("thm-end-to-end", norm(velocity + field), fractional_tolerance(case) * size)


def claim_1_matrix(case: Case) -> Check:
    """P_W vec(G) is the vectorised field of Theorem 1."""
    matrix = preconditioning.preconditioner(case.matrix, case.depth)
    field = preconditioning.end_to_end_field(case.matrix, case.gradient, case.depth)
    error = norm(matrix @ case.gradient.ravel(order="F") - field.ravel(order="F"))
    return Check("thm-preconditioner", error, fractional_tolerance(case) * field_size(case))


def claim_1_eigen(case: Case) -> Check:
    """Kronecker sum and eigen-decomposition agree: P V = VΛ, VᵀV = I, Λ ≥ 0, Λ = LAPACK's."""
    matrix = preconditioning.preconditioner(case.matrix, case.depth)
    values, vectors = preconditioning.preconditioner_eigensystem(case.matrix, case.depth)
    lapack = np.linalg.eigvalsh(matrix)
    top = case.depth * np.linalg.norm(case.matrix, 2) ** (2 - 2 / case.depth)
    error = max(
        norm(matrix @ vectors - vectors * values) / top,
        norm(vectors.T @ vectors - np.eye(values.size)),
        norm(np.sort(values) - lapack) / top,
        float(-lapack[0] / top),
    )
    return Check("thm-spectrum", error, fractional_tolerance(case) * values.size)


def claim_2(w: Matrix, gradient: Matrix, depth: int, weight_decay: float = 0.0) -> Check:
    """For one output, w of shape (1, d), the short form is Theorem 1's field; 0 at w = 0."""
    short = preconditioning.single_output_field(w, gradient, depth, weight_decay)
    if not np.any(w):
        expected = gradient if depth == 1 else np.zeros_like(gradient)
        return Check("thm-one-output", norm(short - expected), 0.0)
    full = preconditioning.end_to_end_field(w, gradient, depth, weight_decay)
    # one singular value, so no fractional power is taken near zero: plain rounding
    size = depth * norm(w) ** (2 - 2 / depth) * norm(gradient) + weight_decay * depth * norm(w)
    return Check("thm-one-output", norm(short - full), ROUNDINGS * depth * w.size * EPS * size)


def weight_decay_potential(case: Case) -> Check:
    """P_W times the gradient of (N/2)Σσ^{2/N} is NW, the weight decay of Theorem 1 (full rank)."""
    slope = preconditioning.schatten_gradient(case.matrix, case.depth)
    field = preconditioning.end_to_end_field(case.matrix, slope, case.depth)
    error = norm(field - case.depth * case.matrix)
    size = case.depth * np.linalg.norm(case.matrix, 2) ** (2 - 2 / case.depth) * norm(slope)
    return Check("thm-decay-potential", error, fractional_tolerance(case) * size)


def escape(depth: int, start: float, end: float, slope: float) -> Check:
    """The escape time's formula against the differential equation that it solves."""
    time = limits.escape_time(depth, start, end, slope)

    def speed(_: float, state: Array) -> Array:
        return depth * slope * state ** (2 - 2 / depth)

    reached = layers.integrate(speed, np.array([start]), np.array([0.0, time]), 1e-12)[-1, 0]
    # 1e-12 a step, which growth multiplies by d log(end)/d log(start) = (end/start)^{1−2/N}
    return Check(
        "thm-escape", abs(reached / end - 1), 1e-10 * (1 + (end / start) ** max(0.0, 1 - 2 / depth))
    )


def unbalanced_two_layers(weights: Weights, gradient: Matrix) -> Check:
    """The two-layer bound on the distance from Theorem 1's right-hand side."""
    velocity = layers.end_to_end_velocity(weights, gradient)
    field = preconditioning.end_to_end_field(layers.end_to_end(weights), gradient, 2)
    bound = limits.unbalanced_bound(weights, gradient)
    gap = float(np.linalg.norm(velocity + field, 2))
    return Check("thm-unbalanced", gap, bound + 1e-12)
