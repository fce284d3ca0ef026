"""The problem: loss, gradient, optimum, and second moments that say the same as the rows."""

import warnings

import numpy as np
import pytest

from accel_core.optimum import FACTORED, WARNED, NearlyCollinear
from accel_core.problem import Moments, Problem
from accel_core.training import Run, train

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


# ---- columns that nearly agree


def with_total(gap):
    """Four columns of which the last is the sum of two others, but for noise of size `gap`, and a
    label that follows the noise too: 0.997 of the loss is left where descent does not see it."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((120, 4))
    X[:, 3] = X[:, 0] + X[:, 1] + gap * X[:, 3]
    return X, X[:, 2] + rng.standard_normal(120)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-8, 1e-10, 1e-13, 0.0])
def test_every_recorded_loss_is_that_of_the_rows(gap, bias):
    X, y = with_total(gap)
    problem = Problem(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearlyCollinear)
        results = train(problem, [Run(n, bias=bias, rate=0.05) for n in (1, 2)], 3_000)
    for result in results:
        rows = [problem.loss(W[:, :4], W[:, 4] if bias else None) for W in result.end_to_end]
        np.testing.assert_allclose(result.loss, rows, rtol=1e-9)
        assert (result.loss > 0).all()
        assert (result.loss >= problem.optimum(bias).loss).all()


@pytest.mark.parametrize("gap", [1e-4, 1e-6])
def test_moments_alone_give_the_same_losses_as_far_as_they_know(gap):
    X, y = with_total(gap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearlyCollinear)
        problem = Problem.from_moments(Moments.of(X, y))
        (result,) = train(problem, [Run(2, rate=0.05)], 3_000)
    rows = [Problem(X, y).loss(W) for W in result.end_to_end]
    np.testing.assert_allclose(result.loss, rows, rtol=1e-6)


def test_without_noise_no_loss_is_negative():
    X = RNG.standard_normal((30, 3))
    (result,) = train(Problem(X, X @ [1.0, 2.0, 3.0]), [Run(rate=0.1)], 10_000)
    assert (result.loss >= 0).all() and result.loss[-1] < 1e-20


def test_a_warning_names_the_columns_from_the_stated_condition_on():
    X, y = with_total(1e-8)
    with pytest.warns(NearlyCollinear, match=r"columns \[0, 1, 3\].*leave one") as caught:
        found = Problem(X, y).optimum()
    assert caught[0].message.columns == [0, 1, 3]
    assert found.condition == pytest.approx(np.linalg.cond(X), rel=1e-3)
    assert found.condition > WARNED > FACTORED
    # exactly collinear columns, and less collinear ones, are no cause for alarm
    assert Problem(*with_total(0.0)).optimum().condition < 10
    assert Problem(*with_total(1e-4)).optimum().condition < FACTORED


def test_below_the_stated_condition_losses_keep_their_bits():
    """The optimum plus a quadratic form, as the recorded runs have it."""
    for bias in (False, True):
        problem, ends = Problem(X, Y), RNG.standard_normal((3, 2, 5 + bias))
        best = problem.optimum(bias)
        m = problem.moments.with_bias() if bias else problem.moments
        gaps = ends - best.end_to_end
        quadratic = [best.loss + np.vdot(gap @ m.xx, gap) for gap in gaps]
        assert problem.losses(ends, bias).tolist() == quadratic


# ---- other conventions


@pytest.mark.parametrize("p", [2.0, 4.0])
def test_the_papers_text_divides_the_loss_by_p_and_so_multiplies_its_rates(p):
    problem, rate = Problem(X, Y[:, 0], p), 0.05
    (ours,) = train(problem, [Run(1, rate=rate / p, seed=1)], 20, record_at=[0, 20])
    W = ours.end_to_end[0].copy()
    for _ in range(20):  # descent on L/p, as the text writes it
        W -= rate * problem.gradient(W) / p
    np.testing.assert_allclose(ours.end_to_end[1], W, rtol=1e-12)
