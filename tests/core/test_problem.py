"""The problem: loss, gradient, optimum, and second moments that say the same as the rows."""

import numpy as np
import pytest

from accel_core.problem import Moments, Problem

RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 5))
Y = X @ RNG.standard_normal((5, 2)) + RNG.standard_normal((40, 2))
PS = [2.0, 2.5, 3.0, 4.0, 6.0]


@pytest.mark.parametrize("p", PS)
@pytest.mark.parametrize("bias", [False, True])
def test_gradient_is_the_derivative_of_the_loss(p, bias):
    problem = Problem(X, Y, p)
    W, b = RNG.standard_normal((2, 5)), RNG.standard_normal(2) if bias else None
    gradient = problem.gradient(W, b)
    h = 1e-6  # central differences err by h² times third derivatives, about 1e-9 here
    for index in np.ndindex(gradient.shape):
        shift = np.zeros((2, 6))
        shift[index] = h
        step = (shift[:, :5], shift[:, 5] if bias else 0)
        ahead = problem.loss(W + step[0], b + step[1] if bias else None)
        behind = problem.loss(W - step[0], b - step[1] if bias else None)
        assert gradient[index] == pytest.approx((ahead - behind) / (2 * h), rel=1e-6, abs=1e-7)


def test_loss_by_hand():
    """Residuals 1 and −2 of one row with two outputs, 0 and 3 of another: Σ|r|^p / 2 rows."""
    problem = Problem([[1.0], [0.0]], [[0.0, 2.0], [0.0, -3.0]], 4)
    assert problem.loss([[1.0], [0.0]]) == np.mean([1 + 16, 0 + 81])


@pytest.mark.parametrize("p", PS)
@pytest.mark.parametrize("bias", [False, True])
def test_optimum_has_no_gradient_and_no_better_neighbour(p, bias):
    problem = Problem(X, Y, p)
    found = problem.optimum(bias)
    # relative to the gradient at 0: round-off of sums that cancel
    assert found.gradient_norm < 1e-12 * np.linalg.norm(problem.gradient(np.zeros((2, 5))))
    assert found.end_to_end.shape == (2, 5 + bias)
    for _ in range(20):
        W = found.end_to_end + 1e-3 * RNG.standard_normal(found.end_to_end.shape)
        assert problem.loss(*((W[:, :5], W[:, 5]) if bias else (W,))) > found.loss


@pytest.mark.parametrize("bias", [False, True])
def test_moments_say_what_the_rows_say(bias):
    rows, moments = Problem(X, Y), Problem.from_moments(Moments.of(X, Y))
    W, b = RNG.standard_normal((2, 5)), RNG.standard_normal(2) if bias else None
    assert moments.loss(W, b) == pytest.approx(rows.loss(W, b), rel=1e-12)
    np.testing.assert_allclose(moments.gradient(W, b), rows.gradient(W, b), atol=1e-12)
    best = [problem.optimum(bias) for problem in (rows, moments)]
    np.testing.assert_allclose(best[0].end_to_end, best[1].end_to_end, atol=1e-10)
    assert best[0].loss == pytest.approx(best[1].loss, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((X, Y, 1.0), "p = 1.0.*from 2 up"),
        ((X, Y, np.nan), "from 2 up"),
        ((X, Y[:-1]), r"\(40, 5\).*\(39, 2\).*same n"),
        ((X[0], Y), "wanted"),
        ((np.where(X[3, 2] == X, np.inf, X), Y), r"X\[3, 2\] = inf.*finite"),
    ],
)
def test_bad_problems_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Problem(*arguments)


def test_moments_alone_are_refused_for_other_losses():
    with pytest.raises(ValueError, match=r"p = 4 without rows.*pass X and y"):
        Problem(None, None, 4.0, Moments.of(X, Y))
