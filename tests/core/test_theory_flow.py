"""The theorems along trajectories: a real ODE solver, and what finite learning rates change."""

import numpy as np
import pytest

from accel_core import theory
from accel_core.problem import Problem
from accel_core.theory.check import norm

RTOL = 1e-11
TIMES = np.linspace(0.0, 0.5, 6)


def problem(rng, case, p=2.0, distance=0.5):
    """A regression whose optimum lies ``distance`` from the start."""
    X = rng.standard_normal((30, case.matrix.shape[1]))
    away = rng.standard_normal(case.matrix.shape)
    return Problem(X, X @ (case.matrix + distance * away / norm(away)).T, p)


@pytest.mark.parametrize("decay", [0.0, 0.2])
@pytest.mark.parametrize("p", [2.0, 3.5])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
def test_full_rank_flow(depth, p, decay):
    """Several outputs, unequal widths. Singular values stay above 0.1, where σ^{2/N} is smooth:
    solver errors of RTOL grow by a Lipschitz constant's exponential, here below 1e3.
    """
    rng = np.random.default_rng(depth)
    case = theory.balanced_case(rng, depth, (2, 3), 2, 0.8, 0.5, extra=3)
    objective = problem(rng, case, p)
    gap = theory.flow_gap(case.weights, objective.gradient, TIMES, decay)
    path = theory.gradient_flow(case.weights, objective.gradient, TIMES, decay)
    smallest = min(np.linalg.svd(theory.end_to_end(w), compute_uv=False)[-1] for w in path)
    assert smallest > 0.1, "the premise of the tolerance"
    assert gap <= 1e3 * RTOL
    assert max(theory.defect(weights) for weights in path) <= 1e3 * RTOL


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_deficient_rank_flow(depth):
    """What lies below the rank threshold τ enters the closed equation, or is left out of it, with
    at most its power 2/N: the distance may be N‖G‖t·τ^{2/N}. τ is the solver's error at full rank.
    """
    threshold = 1e3 * RTOL
    rng = np.random.default_rng(depth)
    case = theory.balanced_case(rng, depth, (3, 4), 2, 0.8, 0.5, extra=2)
    objective = problem(rng, case)
    gap = theory.flow_gap(case.weights, objective.gradient, TIMES, 0.1, threshold)
    steepest = norm(objective.gradient(case.matrix))
    assert gap <= depth * steepest * TIMES[-1] * threshold ** (2 / depth)


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_error_from_a_spurious_singular_value_has_order_two_over_depth(depth):
    rng = np.random.default_rng(1)
    case = theory.balanced_case(rng, depth, (3, 3), 2, 1.0, 0.5)
    exact = theory.end_to_end_field(case.matrix, case.gradient, depth)
    left, _, right = np.linalg.svd(case.matrix)
    sizes = np.geomspace(1e-12, 1e-9, 7)
    errors = [
        norm(
            theory.end_to_end_field(
                case.matrix + e * np.outer(left[:, 2], right[2]), case.gradient, depth
            )
            - exact
        )
        for e in sizes
    ]
    order = theory.fit_order(sizes, np.array(errors))
    # the next term has order 4/N: at 1e-9 it shifts the slope by less than 0.02
    assert order.exponent == pytest.approx(2 / depth, abs=0.02)


def test_misprinted_condition_is_not_kept():
    """Start with W_2ᵀW_2 = W_1ᵀW_1: the flow leaves it, and Theorem 1's equation does not hold."""
    rng = np.random.default_rng(3)
    first = rng.standard_normal((3, 3))
    second = np.linalg.qr(rng.standard_normal((3, 3)))[0] @ first
    start = [first, second]
    X = rng.standard_normal((30, 3))
    objective = Problem(X, X @ rng.standard_normal((3, 3)))
    assert norm(theory.misprinted_imbalance(start)[0]) < 1e-12
    then = theory.gradient_flow(start, objective.gradient, np.array([0.0, 0.1]))[-1]
    assert norm(theory.misprinted_imbalance(then)[0]) > 0.1
    gradient = objective.gradient(theory.end_to_end(start))
    closed = theory.end_to_end_field(theory.end_to_end(start), gradient, 2)
    assert norm(theory.end_to_end_velocity(start, gradient) + closed) > 0.01 * norm(closed)


def test_imbalance_decays_with_weight_decay():
    rng = np.random.default_rng(4)
    weights = [rng.standard_normal((3, 2)), rng.standard_normal((2, 3))]
    times = np.array([0.0, 1.0])
    X = rng.standard_normal((30, 2))
    objective = Problem(X, X @ rng.standard_normal((2, 2)))
    for decay in (0.0, 0.7):
        path = theory.gradient_flow(weights, objective.gradient, times, decay)
        expected = np.exp(-2 * decay) * theory.imbalance(weights)[0]
        assert norm(theory.imbalance(path[-1])[0] - expected) < 1e-8
