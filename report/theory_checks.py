"""Each numbered statement as a number: the error of its two sides, and what it may be.

A check compares quantities that were computed along different ways. Its tolerance is derived where
it stands, from machine precision ε and the case at hand, and covers rounding only.
"""

from typing import NamedTuple

import numpy as np
from scipy.integrate import fixed_quad

from accel_core.models import Array, imbalance
from accel_core.theory import circulation, layers, limits, preconditioning, two_points, warmup
from accel_core.theory.layers import Case, Matrix, Weights
from accel_core.theory.objectives import Quadratic, Radial, Separable

Objective = Quadratic | Radial | Separable
Plane = tuple[Array, Array]

EPS = float(np.finfo(float).eps)
# A product of N matrices of size n is off by about nNε times the product of their norms; LAPACK's
# singular values and vectors of graded matrices alone by up to 11nε (measured over 3,000 cases).
ROUNDINGS = 16


class Check(NamedTuple):
    """A statement's label in the book, the error found and the largest that rounding explains."""

    statement: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Say whether the error is within the tolerance; never for NaN."""
        return bool(self.error <= self.tolerance)


def fractional_tolerance(case: Case) -> float:
    """Return the rounding error of a fractional power's field, relative to σ_1^{2−2/N}‖G‖N.

    Computed singular values are off by e = c·ε·σ_1. A factor σ^{2a} of the field has its least
    smooth exponent at q = 2a = min(1, 2/N); with s = σ/σ_1 its error is at most q·s^{q−1}·e, which
    is largest at the smallest nonzero s (zero ones are cut off by the rank threshold).
    """
    sigma = np.linalg.svd(case.matrix, compute_uv=False)
    sigma = sigma[sigma > max(case.matrix.shape) * EPS * sigma[0]] / sigma[0]
    q = min(1.0, 2 / case.depth)
    size = max(max(layer.shape) for layer in case.weights)
    return ROUNDINGS * size * case.depth * EPS * float(sigma[-1] ** (q - 1))


def rounding(weights: Weights) -> float:
    """Return the relative rounding error of products of these layers."""
    return ROUNDINGS * len(weights) * max(max(layer.shape) for layer in weights) * EPS


def field_size(case: Case) -> float:
    """Return a bound on the norm of every field of this case: Nσ_1^{2−2/N}‖G‖."""
    top = float(np.linalg.norm(case.matrix, 2))
    return case.depth * top ** (2 - 2 / case.depth) * norm(case.gradient)


def norm(array: Array) -> float:
    """Return the Frobenius norm as a float."""
    return float(np.linalg.norm(array))


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


def theorem_2_constant(depth: int, inner: float, outer: float, plane: Plane) -> list[Check]:
    """Two quadratures and the closed form, constant gradient of norm 1 along ``plane[0]``."""
    objective = Quadratic(plane[0], np.zeros((plane[0].size, plane[0].size)))
    exact = circulation.half_annulus_constant(depth, inner, outer)
    return [
        Check("thm-no-regularizer", abs(value - exact), 1e-10 * max(1.0, outer ** (3 - 2 / depth)))
        for value in _line_integrals(objective, depth, plane, inner, outer)
    ]


def theorem_2_any(
    objective: Objective, plane: Plane, depth: int, inner: float, outer: float
) -> list[Check]:
    """Two quadratures of the line integral against Green's area integral of the curl formula."""

    def curl_at(w: Array) -> Matrix:
        return circulation.curl(w, objective.gradient(w), objective.hessian(w), depth)

    area = circulation.area_integral(curl_at, plane, inner, outer)
    ends = np.linalg.norm(objective.gradient(np.outer([-outer, outer], plane[0])), axis=1)
    size = max(1.0, outer ** (3 - 2 / depth)) * max(1.0, float(ends.max()))
    return [
        Check("thm-curl", abs(value - area), 1e-10 * size)
        for value in _line_integrals(objective, depth, plane, inner, outer)
    ]


def theorem_2_bound(
    depth: int, inner: float, outer: float, slope: float, deviation: float
) -> Check:
    """The proof's lower bound is attained by the worst deviation, which opposes the curve."""
    plane = np.eye(2)[0], np.eye(2)[1]
    total = 0.0
    for piece in circulation.half_annulus(plane, inner, outer):

        def along(t: Array, piece: circulation.Piece = piece) -> Array:
            w, velocity = piece.point(t), piece.velocity(t)
            speed = np.linalg.norm(velocity, axis=1, keepdims=True)
            worst = slope * plane[0] - deviation * velocity / speed
            field = preconditioning.single_output_field(w, worst, depth)
            return np.sum(field * velocity, axis=1)

        total += fixed_quad(along, 0, 1, n=160)[0]
    bound = circulation.half_annulus_lower_bound(depth, inner, outer, slope, deviation)
    size = max(1.0, outer ** (3 - 2 / depth)) * (slope + depth * deviation)
    return Check("thm-lower-bound", abs(float(total) - bound), 1e-10 * size)


def two_layer_potential(objective: Quadratic | Radial, start: Matrix, end: Matrix) -> Check:
    """N = 2, L¹ = ⟨w, U⟩ + f(‖w‖): the potential's difference is the field's integral."""
    # ∫2s f'(s) ds for f' = s³, or f' = hs
    radial = isinstance(objective, Radial)
    factor, power = (2 / 5, 5) if radial else (2 * objective.curvature[0, 0] / 3, 3)

    def field(w: Matrix) -> Matrix:
        return preconditioning.single_output_field(w, objective.gradient(w), 2)

    path = [circulation.segment(start, end)]
    begun, ended = (
        float(circulation.isotropic_potential(w, objective.slope, lambda s: factor * s**power))
        for w in (start, end)
    )
    error = abs(circulation.adaptive_integral(field, path) - (ended - begun))
    return Check("thm-two-layers", error, 1e-10 * max(1.0, abs(begun), abs(ended)))


def monotone_rate(power: float, depth: int) -> Check:
    """At the monotone rate the largest w_1 after one step is y_1, touched, not passed (p > 2)."""
    problem = two_points.TwoPoints(1.0, power)
    u, spacing = np.linspace(0.0, 1.0, 20_001, retstep=True)
    u = u[:-1]
    g = -((1 - u) ** (power - 1))
    rate = two_points.monotone_rate(problem, depth)
    w = np.stack([u, np.zeros_like(u)], axis=1)
    step = rate * preconditioning.single_output_field(w, np.stack([g, 0 * g], axis=1), depth)
    # u^a(1−u)^b, scaled to maximum 1, is missed by the grid by its curvature (a+b)³/ab × spacing²/8
    a, b = 2 - 2 / depth, power - 2
    missed = (a + b) ** 3 / (a * b) * spacing**2 / 8 if depth > 1 else 0.0
    reach = float(np.max(-step[:, 0] / (1 - u)))
    return Check("thm-monotone-rate", abs(reach - 1), 1.1 * missed + 64 * EPS)


def compiled_step(w: Array, ratio: float, power: float, depth: int, rate: float) -> Check:
    """The compiled two-point step is Claim 2's update."""
    objective = Separable(np.array([ratio, 1.0]), power)
    field = preconditioning.single_output_field(w, objective.gradient(w), depth)
    new = np.array(two_points._step(w[0], w[1], ratio, power, depth, rate))
    size = norm(w) + rate * depth * norm(w) ** (2 - 2 / depth) * norm(objective.gradient(w))
    return Check("eq-two-points", norm(new - (w - rate * field)), 64 * EPS * size)


def _line_integrals(
    objective: Objective, depth: int, plane: Plane, inner: float, outer: float
) -> list[float]:
    def field(w: Matrix) -> Matrix:
        return preconditioning.single_output_field(w, objective.gradient(w), depth)

    curve = circulation.half_annulus(plane, inner, outer)
    return [circulation.gauss_integral(field, curve), circulation.adaptive_integral(field, curve)]
