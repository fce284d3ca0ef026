"""The theorems along trajectories: a real ODE solver, and what finite learning rates change."""

import numpy as np
import pytest
from numpy.linalg import norm

from accel_core import imbalance, theory
from accel_core.problem import Problem

RTOL = 1e-11
TIMES = np.linspace(0.0, 0.5, 6)


def problem(rng, case, p=2.0, distance=0.5):
    """A regression whose optimum lies ``distance`` from the start."""
    X = rng.standard_normal((30, case.matrix.shape[1]))
    away = rng.standard_normal(case.matrix.shape)
    return Problem(X, X @ (case.matrix + distance * away / norm(away)).T, p)


def flow_gap(case, objective, decay, threshold=None):
    """The largest distance of the layers' flow, multiplied out, from Theorem 1's closed equation,
    both solved to RTOL; and the layers on the way."""
    path = theory.gradient_flow(case.weights, objective.gradient, TIMES, decay)
    closed = theory.end_to_end_flow(
        case.matrix, objective.gradient, case.depth, TIMES, decay, threshold=threshold
    )
    pairs = zip(path, closed, strict=True)
    return max(norm(theory.end_to_end(layers) - single) for layers, single in pairs), path


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
    gap, path = flow_gap(case, objective, decay)
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
    gap, _ = flow_gap(case, objective, 0.1, threshold)
    steepest = norm(objective.gradient(case.matrix))
    assert gap <= depth * steepest * TIMES[-1] * threshold ** (2 / depth)


def test_imbalance_decays_with_weight_decay():
    rng = np.random.default_rng(4)
    weights = [rng.standard_normal((3, 2)), rng.standard_normal((2, 3))]
    times = np.array([0.0, 1.0])
    X = rng.standard_normal((30, 2))
    objective = Problem(X, X @ rng.standard_normal((2, 2)))
    for decay in (0.0, 0.7):
        path = theory.gradient_flow(weights, objective.gradient, times, decay)
        expected = np.exp(-2 * decay) * imbalance(weights)[0]
        assert norm(imbalance(path[-1])[0] - expected) < 1e-8


def test_orders_of_drift_and_emulation():
    """Drift of balance by Richardson's extrapolation to its limit; emulation is off by O(η)."""
    rng = np.random.default_rng(12)
    case = theory.balanced_case(rng, 3, (1, 3), 1, 0.8, extra=1)
    args, rates = (case.weights, problem(rng, case).gradient), (2e-3, 1e-3)
    twice, once = (theory.balance_drift(*args, rate, 0.4) / rate for rate in rates)
    assert 2 * once - twice == pytest.approx(theory.predicted_drift(*args, 0.4), rel=1e-3)
    far, near = (theory.emulation_gap(*args, rate, 0.4) for rate in rates)
    assert far / near == pytest.approx(2, abs=0.05) and near < 0.1


def test_fitted_exponents_and_their_intervals_by_hand():
    fit = theory.fit_order(np.array([1.0, 2.0, 4.0, 8.0]), np.array([3.0, 12.0, 48.0, 192.0]))
    assert tuple(fit) == pytest.approx((2, 2, 2))
    noisy = theory.fit_order(np.exp([0.0, 1.0, 2.0]), np.exp([0.0, 1.0, 1.0]))
    # slope ½, residual sum of squares 1/6, standard error √(1/12), t(0.975, 1) = 12.706
    assert (noisy.high - noisy.low) / 2 == pytest.approx(12.7062 / 12**0.5, abs=1e-3)
    x = np.arange(1.0, 12.0)
    robust = theory.robust_order(x, np.where(x == 11, 1e-6, 3 * x**2))  # one point far out
    assert robust.exponent == pytest.approx(2) and robust.low <= robust.high < 2.1
    assert tuple(theory.robust_order(x, np.full(11, 7.0))) == (0, 0, 0)
    narrow = theory.robust_order(np.exp(x), np.exp(x + 0.1 * (-1.0) ** x))
    # slopes are 1, or 1 ± 0.2/odd: an interval of 95 % leaves out the extremes 0.8 and 1.2
    assert 0.9 < narrow.low < 1 < narrow.high < 1.1
