"""The trainer against extended precision, and the memory that it takes."""

import tracemalloc

import numpy as np
import pytest

from accel_core.initializers import NearZero
from accel_core.problem import Problem
from accel_core.training import Run, record_points, train

ITERATIONS = 10_000
LONG = np.longdouble


def data(n=40, d=6):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((n, d)) @ np.diag(np.linspace(0.2, 1.3, d))
    return X, X @ rng.standard_normal(d) + 0.2 * rng.standard_normal(n)


def reference(X, y, p, run):
    """A chain's end-to-end row after ITERATIONS steps of gradient descent, extended precision."""
    X, y, rate = X.astype(LONG), y.astype(LONG), LONG(run.rate)
    flat = run.architecture.start(run.start, run.seed, X.shape[1]).astype(LONG)
    w, a = flat[: X.shape[1]].copy(), list(flat[X.shape[1] :])
    for _ in range(ITERATIONS):
        product = np.prod(a, dtype=LONG)
        r = X @ (product * w) - y
        G = LONG(p) / len(y) * (X.T @ r ** (p - 1))
        inner = G @ w
        others = [np.prod(a[:j] + a[j + 1 :], dtype=LONG) for j in range(len(a))]
        w = w - rate * product * G
        a = [old - rate * other * inner for old, other in zip(a, others, strict=True)]
    return np.prod(a, dtype=LONG) * w


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= 52,
    reason="this machine's long double is a double: there is nothing more precise to compare with",
)
@pytest.mark.parametrize(("p", "rate"), [(2, 0.02), (4, 0.002)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_ten_thousand_steps_stay_within_round_off_of_extended_precision(p, rate, depth):
    # A stable run contracts errors, so they stay a small multiple of one step's 1e-16.
    X, y = data()
    run = Run(depth, rate=rate, start=NearZero(0.3), seed=1)
    wanted = reference(X, y, p, run)
    got = train(Problem(X, y, float(p)), [run], ITERATIONS)[0].end_to_end[-1, 0]
    assert np.abs(got - wanted).max() < 1e-13 * np.abs(wanted).max()


def peak(p, models, iterations, record_at):
    """Bytes that NumPy takes at most while a batch is made and trained."""
    problem = Problem(*data(), p)
    problem.optimum()
    runs = [Run(3, 20, rate=1e-4, seed=s) for s in range(models)]
    tracemalloc.start()
    try:
        train(problem, runs, iterations, record_at=record_at)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("p", [2.0, 4.0])
def test_memory_grows_linearly_with_models_and_not_with_iterations(p):
    train(Problem(*data(), p), [Run(3, 20, rate=1e-4)], 1)  # compiles
    at = [0, 1, 50]
    few, many, most = (peak(p, m, 50, at) for m in (20, 40, 80))
    assert most - many == pytest.approx(2 * (many - few), rel=0.1)
    assert peak(p, 20, 2_000, at) == pytest.approx(few, rel=0.02)


def test_a_curve_has_a_few_hundred_points_however_long_the_run():
    assert len(record_points(10**6)) < len(record_points(10**9)) < 300
