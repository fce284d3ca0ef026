"""The two-point problem against a plain loop over Claim 2's update, and its predictions."""

from itertools import pairwise

import numpy as np
import pytest

from accel_core import theory
from accel_core.theory.two_points import CENSORED, DIVERGED, TwoPoints

SHORT = TwoPoints(ratio=4.0, power=4.0, start=0.2, angle=30.0, horizon=10)


def counted(problem, path):
    """The definitions of the module's docstring, in the order in which they are stated."""
    y = np.array([problem.ratio, 1.0])
    for step, w in enumerate(path):
        if not np.linalg.norm(w) <= 4 * problem.ratio:
            return DIVERGED
        if np.all(np.abs(w - y) <= problem.tolerance * y):
            return step
    return CENSORED


@pytest.mark.parametrize(
    ("problem", "depth"), [(SHORT, 1), (SHORT, 2), (SHORT._replace(horizon=5000), 3)]
)
def test_counts_divergences_and_censoring_are_those_of_a_plain_loop(problem, depth):
    rates = theory.monotone_rate(problem, depth) * np.array([1e-6, 0.3, 1.0, 1.7, 2.6, 40.0])
    paths = [theory.trajectory(problem, depth, rate, problem.horizon) for rate in rates]
    found = theory.iterations(problem, depth, rates)
    assert found.tolist() == [counted(problem, path) for path in paths]
    start = np.array([np.sqrt(3) / 2, 0.5]) * 0.2 * np.sqrt(2)
    slope = theory.Separable(np.array([4.0, 1.0])).gradient(start)
    step = rates[2] * theory.single_output_field(start, slope, depth)
    np.testing.assert_allclose(paths[2][:2], [start, start - step], rtol=1e-12)


def test_the_horizon_counts_and_so_does_leaving_only_to_come_back():
    problem = TwoPoints(ratio=4.0)
    rate = np.array([theory.monotone_rate(problem, 2) / 10])
    (count,) = theory.iterations(problem, 2, rate)
    for horizon, expected in ((count, count), (count - 1, CENSORED)):
        assert theory.iterations(problem._replace(horizon=int(horizon)), 2, rate) == [expected]
    for angle in (0.0, 90.0):  # from w_i = 7 to −4.88: outside, though it would come back
        far = TwoPoints(ratio=1.0, start=7 / np.sqrt(2), angle=angle)
        assert theory.iterations(far, 1, np.array([0.055])) == [DIVERGED]


def test_a_scan_finds_edge_best_rate_and_islands():
    problem = TwoPoints(ratio=10.0)
    found = theory.stable_rates(problem, 3, points=150)
    rates = theory.monotone_rate(problem, 3) * np.geomspace(0.5, 12.0, 150)
    (longest,) = theory.iterations(problem, 3, rates[:1])
    counts = list(theory.iterations(problem._replace(horizon=int(4 * longest)), 3, rates))
    first = next(i for i, count in enumerate(counts) if count < 0)
    best = min(range(first), key=lambda i: counts[i])
    islands = sum(a < 0 <= b for a, b in pairwise(counts))
    assert found == (rates[first - 1], counts[first - 1], rates[best], counts[best], islands)
    # plain descent from almost 0 is stable exactly below 2/y_1^{p−2}; grid and start: 3 %
    plain = theory.stable_rates(TwoPoints(ratio=30.0), 1, points=150)
    assert plain.largest * 30.0**2 / 2 == pytest.approx(1, abs=0.03)
    (row,) = theory.scaling(3.0, [2], [4.0], [60.0], tolerance=0.4)
    scan = theory.stable_rates(TwoPoints(4.0, 3.0, angle=60.0, tolerance=0.4), 2)
    assert list(row.values()) == [3.0, 2, 4.0, 60.0, *scan]


@pytest.mark.parametrize(
    ("problem", "depth", "share", "off"),
    [
        (TwoPoints(ratio=30.0, tolerance=0.05), 1, 1.0, 0.03),
        (TwoPoints(ratio=30.0, tolerance=0.05), 2, 1.0, 0.03),
        (TwoPoints(ratio=30.0, tolerance=0.05), 4, 1.0, 0.03),
        (TwoPoints(ratio=100.0, start=1e-3), 1, 1.0, 0.01),
        (TwoPoints(ratio=40.0, power=2.5, start=1e-3, tolerance=0.01), 1, 0.05, 0.01),
    ],
)
def test_the_crawl_is_predicted_to_a_few_per_cent(problem, depth, share, off):
    rate = theory.monotone_rate(problem, depth) * share
    (count,) = theory.iterations(problem, depth, np.array([rate]))
    # left out: growth of w_2 before w_1 arrives
    assert theory.crawl(problem, depth, rate) / count == pytest.approx(1, abs=off)
