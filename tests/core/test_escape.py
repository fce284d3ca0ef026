"""The time at the saddle: against the balanced closed form, and against gradient descent itself."""

import numpy as np
import pandas as pd
import pytest

from accel_core.initializers import NearZero
from accel_core.problem import Problem
from accel_core.theory import escape
from accel_core.theory.limits import escape_time
from accel_core.training import Run, train


@pytest.mark.parametrize("depth", [2, 3, 4, 8])
def test_balanced_and_aligned_is_the_closed_form(depth):
    # All layers of norm s, W_1 along −G: balanced, ‖W_e‖ = sᴺ, and the direction stays.
    gradient, size, reach = np.array([[3.0, -4.0]]), 0.2, 0.05
    weights = [size * -gradient / 5, *[np.full((1, 1), size)] * (depth - 1)]
    expected = escape_time(depth, size**depth, reach, slope=5.0)
    assert escape.flow_time(weights, gradient, reach) == pytest.approx(expected, rel=1e-5)


def test_depth_2_unbalanced_is_a_hyperbola():
    # ċ = ga, ȧ = gc: with u = c + a, v = c − a, u = u₀eᵍᵗ, v = v₀e⁻ᵍᵗ and ca = (u² − v²)/4.
    gradient, c, a, t = np.array([[2.0]]), -0.03, 0.05, 1.7
    u, v = (c + a) * np.exp(2 * t), (c - a) * np.exp(-2 * t)
    weights = [np.array([[-c]]), np.array([[a]])]  # −G is negative: c = −W_1
    assert escape.flow_time(weights, gradient, (u * u - v * v) / 4) == pytest.approx(t, rel=1e-5)


def test_a_start_that_goes_to_zero_never_leaves():
    weights = [np.array([[0.1]]), np.array([[0.1]])]  # c = −a exactly: v alone, which decays
    assert escape.flow_time(weights, np.array([[1.0]]), 0.01) == np.inf


def test_wide_layers_are_refused():
    with pytest.raises(ValueError, match=r"shapes \[\(2, 3\), \(1, 2\)\]: .* hidden width 1"):
        escape.flow_time([np.ones((2, 3)), np.ones((1, 2))], np.ones((1, 3)), 0.1)


@pytest.mark.parametrize("depth", [3, 4])
def test_gradient_descent_leaves_when_the_flow_says(depth):
    # The gradient is not constant on the way: the loss is 0.81 to 0.9 of linear there, so that
    # gradient descent is later, by no more than the growth of the last stretch.
    rng = np.random.default_rng(7)
    X = rng.standard_normal((60, 5))
    problem = Problem(X, X @ [1.0, -1, 0.5, 0, 2], 4.0)
    starts = NearZero(0.05)
    times = escape.escape_times(problem, depth, starts, [0, 1, 2])
    rate = 2e-4
    runs = [Run(depth, start=starts, seed=seed, rate=rate) for seed in (0, 1, 2)]
    results = train(problem, runs, int(2 * times.max() / rate))
    optimum = problem.optimum().loss
    table = pd.DataFrame(
        {
            "iteration": [r.iteration for r in results],
            "distance": [r.loss - optimum for r in results],
            "status": "completed",
        }
    )
    assert escape.observed(table).to_numpy() * rate == pytest.approx(times, rel=0.12)


def test_observed_names_what_never_leaves_and_what_diverges():
    iteration = np.array([0, 10, 100])
    table = pd.DataFrame(
        {
            "iteration": [iteration] * 3,
            "distance": [np.array([1, 0.95, 0.8]), np.ones(3), np.array([1, 0.99])],
            "status": ["completed", "completed", "diverged"],
        }
    )
    left, never, gone = escape.observed(table)
    assert left == pytest.approx(np.sqrt(10 * 100))
    assert never == np.inf
    assert np.isnan(gone)
