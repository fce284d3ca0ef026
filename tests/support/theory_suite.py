"""Fixed cases for every check of `accel_core.theory`: what the mutation test runs.

Lazy: a mutant is dropped at the first check that notices it.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from theory_two_points import equal, two_points_suite

from accel_core import theory
from accel_core.problem import Problem
from accel_core.theory import dynamics_checks as dynamics
from accel_core.theory import limits, loop_checks, orders
from accel_core.theory.check import Check

# (k, d), rank, smallest singular value over the largest, scale: deficient, nearly so, tiny, large
SHAPES = [
    ((2, 3), 2, 1e-3, 1.0),
    ((4, 3), 2, 1.0, 100.0),  # rank 2 of 3: zeros that only the rank threshold keeps zero
    ((3, 3), 3, 1e-10, 1e-3),  # tiny but genuine: the threshold must leave it
    ((1, 4), 1, 1.0, 0.5),
]
DEPTHS = (1, 2, 3, 6)


def dynamics_suite() -> Iterator[Check]:
    rng = np.random.default_rng(7)
    for depth, (shape, rank, spread, scale) in itertools.product(DEPTHS, SHAPES):
        case = theory.balanced_case(rng, depth, shape, rank, scale, spread)
        yield dynamics.theorem_1(case, 0.3)
        yield dynamics.claim_1_matrix(case)
        yield dynamics.claim_1_eigen(case)
        yield dynamics.imbalance_conserved(case.weights, case.gradient, 0.3)
        yield dynamics.imbalance_step(case.weights, case.gradient, 0.3, 0.2)
        if rank == min(shape):
            yield dynamics.weight_decay_potential(case)
        w, g = rng.standard_normal((2, 1, 4))
        yield dynamics.claim_2(w, g, depth, 0.3)
        yield dynamics.claim_2(0 * w, g, depth, 0.3)
        unbalanced = [rng.standard_normal(w.shape) for w in case.weights]
        yield dynamics.imbalance_conserved(unbalanced, case.gradient, 0.3)
        yield dynamics.imbalance_step(unbalanced, case.gradient, 0.3, 0.2)
        yield _layers_by_differences(unbalanced, case.gradient)
        if rank == min(shape):
            yield _schatten_by_differences(case)
        yield Check("thm-balance", theory.defect(case.weights), 1e-12 * scale)
    square = [np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [3.0, 1.0]])]
    # by hand: W_2ᵀW_2 = [[10, 3], [3, 1]], W_1W_1ᵀ = [[5, 2], [2, 1]], W_1ᵀW_1 = [[1, 2], [2, 5]]
    yield equal("thm-balance", theory.imbalance(square)[0], [[5, 1], [1, 0]])
    yield equal("misprint", theory.misprinted_imbalance(square)[0], [[9, 1], [1, -4]])
    yield equal("thm-balance", theory.defect(square), (5 + np.sqrt(29)) / 2)


def _layers_by_differences(weights, gradient) -> Check:
    """∂⟨G, W_N⋯W_1⟩/∂W_j by central differences; exact, the map is linear in W_j."""
    error, step = 0.0, 1e-3
    for j, slope in enumerate(theory.layer_gradients(weights, gradient)):
        for index in np.ndindex(slope.shape):
            values = []
            for sign in (1, -1):
                moved = [w.copy() for w in weights]
                moved[j][index] += sign * step
                product = moved[0]
                for layer in moved[1:]:
                    product = layer @ product
                values.append(float(np.sum(gradient * product)))
            error = max(error, abs((values[0] - values[1]) / (2 * step) - slope[index]))
    size = np.prod([1 + np.linalg.norm(w) for w in weights]) * np.linalg.norm(gradient)
    return Check("eq-layer-gradient", error, 1e-12 * float(size))


def _schatten_by_differences(case) -> Check:
    """The slope of (N/2)Σσ^{2/N} along each singular value, against its difference quotient."""
    left, sigma, right = np.linalg.svd(case.matrix, full_matrices=False)
    slope = theory.schatten_gradient(case.matrix, case.depth)
    found = np.diag(left.T @ slope @ right.T)
    h = 1e-5
    quotient = (case.depth / 2) * (
        ((1 + h) * sigma) ** (2 / case.depth) - ((1 - h) * sigma) ** (2 / case.depth)
    )
    quotient = quotient / (2 * h * sigma)
    return Check("thm-decay-potential", float(np.max(np.abs(found / quotient - 1))), 1e-5)


def warmup_suite() -> Iterator[Check]:
    rng = np.random.default_rng(8)
    for scalar, rate in ((0.7, 0.1), (-0.02, 0.5), (3.0, 0.01)):
        yield dynamics.warmup_identity(rng.standard_normal(4), scalar, rng.standard_normal(4), rate)
        w, g = rng.standard_normal((2, 4))
        rule = theory.coefficients(w, scalar, g, rate)
        # ρ and γ by their definitions, ∂L/∂w_2 = ⟨w_1, ∇⟩
        yield equal("eq-warmup", rule.adaptive_rate, rate * scalar * scalar)
        yield equal("eq-warmup", rule.shrinkage * scalar, rate * float(np.dot(w, g)))
    yield dynamics.warmup_memory(rng, 12, 3)
    yield dynamics.warmup_history(rng.standard_normal(3), 0.4, rng.standard_normal((12, 3)), 0.1)


def flow_suite() -> Iterator[Check]:
    """Layers' flow against the closed equation's, weight decay included, by the same solver."""
    rng = np.random.default_rng(13)
    X = rng.standard_normal((20, 3))
    problem = Problem(X, X @ rng.standard_normal((3, 2)))
    times = np.array([0.0, 0.1, 0.3])
    case = theory.balanced_case(rng, 3, (2, 3), 2, 0.7, 0.3)
    path = theory.gradient_flow(case.weights, problem.gradient, times, 0.2)
    closed = theory.end_to_end_flow(case.matrix, problem.gradient, 3, times, 0.2)
    for layers_then, matrix in zip(path, closed, strict=True):
        # both solved to 1e-11; the singular values stay near 1, where fractional powers are smooth
        error = float(np.linalg.norm(theory.end_to_end(layers_then) - matrix))
        yield Check("thm-end-to-end", error, 1e-9)
        yield Check("thm-balance", theory.defect(layers_then), 1e-9)
    args = case.weights, problem.gradient, times, 0.2
    yield Check("thm-end-to-end", theory.flow_gap(*args), 1e-9)
    # another matrix's flow would be elsewhere: the gap is a maximum over times, not the first
    rough = theory.flow_gap(*args, threshold=0.9)
    yield Check("thm-end-to-end", float(not 1e-3 < rough < 10), 0.0)


def limits_suite() -> Iterator[Check]:
    rng = np.random.default_rng(9)
    for depth in (1, 2, 3, 5):
        yield dynamics.escape(depth, 0.02, 0.9, 1.7)
    for depth in (3, 4, 6):
        # at the threshold growth and decay cancel
        edge = limits.escape_threshold(depth, 0.3, 1.3)
        w, g = np.array([edge, 0.0]), np.array([-1.3, 0.0])
        still = theory.single_output_field(w, g, depth, 0.3)
        yield Check("thm-decay-threshold", float(np.abs(still).max()), 1e-12)
    yield dynamics.unbalanced_two_layers(
        [rng.standard_normal((3, 4)), rng.standard_normal((2, 3))], rng.standard_normal((2, 4))
    )
    for a in (0.5, 3.0):  # W_1 = 0: the bound is attained, a²|G|
        pair = [np.zeros((1, 1)), np.array([[a]])], np.array([[1.5]])
        yield equal("thm-unbalanced", limits.unbalanced_bound(*pair), 1.5 * a * a)
        pair = [np.array([[a]]), np.zeros((1, 1))], np.array([[1.5]])
        yield equal("thm-unbalanced", limits.unbalanced_bound(*pair), 1.5 * a * a)


def loops_suite() -> Iterator[Check]:
    rng = np.random.default_rng(10)
    basis = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    plane = basis[0], basis[1]
    curvature = rng.standard_normal((3, 3))
    objectives = [
        theory.Quadratic(rng.standard_normal(3), curvature + curvature.T),
        theory.Radial(rng.standard_normal(3)),
        theory.Separable(np.array([3.0, -4.0, 5.0]), 4.0),
    ]
    for depth, inner, outer in ((2, 0.5, 1.2), (3, 0.8, 2.0), (5, 0.5, 1.5)):
        yield from loop_checks.theorem_2_constant(depth, inner, outer, plane)
        yield loop_checks.theorem_2_bound(depth, inner, outer, 1.3, 0.4)
        for objective in objectives:
            yield from loop_checks.theorem_2_any(objective, plane, depth, inner, outer)
    start, end = np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 0.0])
    yield loop_checks.two_layer_potential(objectives[1], start, end)
    isotropic = theory.Quadratic(rng.standard_normal(3), 2 * np.eye(3))
    yield loop_checks.two_layer_potential(isotropic, start, end)
    for objective in (*objectives, isotropic):  # gradient and Hessian of the test objectives
        yield _objective_by_differences(objective, rng.standard_normal(3))
    pieces = theory.half_annulus(plane, 0.5, 2.0)
    middle = [piece.point(np.array([0.5]))[0] @ np.array(plane).T for piece in pieces]
    yield equal("half-annulus", middle, [[-1.25, 0], [0, 0.5], [1.25, 0], [0, 2]])
    flat = np.outer(plane[0], plane[1])
    area = theory.area_integral(lambda w: flat, plane, 0.5, 2.0, panels=2)
    yield equal("half-annulus", area, np.pi * (4 - 0.25) / 2)
    ring = theory.circle(np.array([1.0, 2.0, 3.0]), 0.5, plane)

    def turning(w):  # rotation in the plane: circulation 2·area
        return np.outer(w @ plane[0], plane[1]) - np.outer(w @ plane[1], plane[0])

    yield equal("circle", theory.gauss_integral(turning, ring), 2 * np.pi * 0.25)
    yield equal("circle", theory.adaptive_integral(turning, ring), 2 * np.pi * 0.25)


def _objective_by_differences(objective, w) -> Check:
    h = 1e-5
    units = np.eye(w.size)
    slope = [(objective.value(w + h * u) - objective.value(w - h * u)) / (2 * h) for u in units]
    bend = [
        (objective.gradient(w + h * u) - objective.gradient(w - h * u)) / (2 * h) for u in units
    ]
    error = max(
        np.abs(np.array(slope) - objective.gradient(w)).max(),
        np.abs(np.array(bend) - objective.hessian(w)).max(),
    )
    return Check("objective", float(error), 1e-6 * (1 + float(np.abs(objective.gradient(w)).max())))


def orders_suite() -> Iterator[Check]:
    rng = np.random.default_rng(12)
    case = theory.balanced_case(rng, 3, (1, 3), 1, 0.8, extra=1)
    X = rng.standard_normal((20, 3))
    problem = Problem(X, X @ rng.standard_normal(3))
    drifts = [orders.balance_drift(case.weights, problem.gradient, h, 0.4) for h in (2e-3, 1e-3)]
    limit = orders.predicted_drift(case.weights, problem.gradient, 0.4)
    extrapolated = 2 * drifts[1] / 1e-3 - drifts[0] / 2e-3
    yield Check("thm-drift", abs(extrapolated / limit - 1), 1e-3)
    gaps = [orders.emulation_gap(case.weights, problem.gradient, h, 0.4) for h in (2e-3, 1e-3)]
    yield Check("thm-emulation", abs(gaps[0] / gaps[1] - 2), 0.05)
    yield Check("thm-emulation", gaps[1], 0.1)
    # one layer and a constant gradient of norm 2: the norm grows by 0.2 a step, from 1 to 3
    flat = [np.array([[1.0, 0.0]])], lambda matrix: np.array([[-2.0, 0.0]])
    yield equal("escape", orders.escape_steps(*flat, 0.1, 2.9, budget=10), 10)
    yield equal("escape", orders.escape_steps(*flat, 0.1, 1.0), 0)
    try:
        orders.escape_steps(*flat, 0.1, 2.9, budget=9)
    except RuntimeError:
        pass
    else:
        yield Check("escape", 1.0, 0.0)
    fit = orders.fit_order(np.array([1.0, 2.0, 4.0, 8.0]), np.array([3.0, 12.0, 48.0, 192.0]))
    yield equal("fit", [fit.exponent, fit.high - fit.low], [2.0, 0.0])
    noisy = orders.fit_order(np.exp([0.0, 1.0, 2.0]), np.exp([0.0, 1.0, 1.0]))
    # by hand: slope ½, residual sum of squares 1/6, standard error √(1/12), t(0.975, 1) = 12.706
    yield Check("fit", abs((noisy.high - noisy.low) / 2 - 12.7062 / 12**0.5), 1e-3)
    yield Check("fit", abs(noisy.high + noisy.low - 1.0), 1e-9)
    x = np.arange(1.0, 12.0)
    wild = np.where(x == 11, 1e-6, 3 * x**2)  # one point far out moves the median of slopes little
    robust = orders.robust_order(x, wild)
    yield equal("fit", robust.exponent, 2.0)
    yield Check("fit", float(not robust.low <= 2.0 <= robust.high < 2.1), 0.0)
    yield equal("fit", orders.robust_order(x, np.full(11, 7.0)), [0, 0, 0])
    yield equal("fit", orders.robust_order(x, 1 + (x - 1) / 10).exponent > 0, 1)
    narrow = orders.robust_order(np.exp(x), np.exp(x + 0.1 * (-1.0) ** x))
    # slopes are 1, or 1 ± 0.2/odd: an interval of 95 % leaves out the extremes 0.8 and 1.2
    yield Check("fit", float(not 0.9 < narrow.low < 1 < narrow.high < 1.1), 0.0)


SUITES: dict[str, Callable[[], Iterator[Check]]] = {
    "layers": lambda: itertools.chain(dynamics_suite(), flow_suite(), orders_suite()),
    "preconditioning": lambda: itertools.chain(dynamics_suite(), flow_suite()),
    "warmup": warmup_suite,
    "limits": limits_suite,
    "circulation": loops_suite,
    "objectives": loops_suite,
    "two_points": two_points_suite,
    "orders": lambda: itertools.chain(flow_suite(), orders_suite()),
}
