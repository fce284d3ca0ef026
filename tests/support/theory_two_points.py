"""Fixed cases for the two-point problem: simulation by hand, predictions, scans."""

import itertools
from collections.abc import Iterator

import numpy as np

from accel_core import theory
from accel_core.theory import loop_checks, two_points
from accel_core.theory.check import Check


def equal(name: str, value, expected) -> Check:
    return Check(name, float(np.max(np.abs(np.asarray(value) - expected))), 1e-12)


def two_points_suite() -> Iterator[Check]:
    rng = np.random.default_rng(11)
    for power, depth in itertools.product((2.0, 2.5, 3.0, 4.0, 5.0), (1, 2, 3, 5)):
        if power > 2:
            yield loop_checks.monotone_rate(power, depth)
        for _ in range(3):
            w = rng.uniform(-2, 6, 2)
            yield loop_checks.compiled_step(w, 5.0, power, depth, 0.01)
    yield from _simulated_by_hand()
    yield from _table_is_the_scan()
    for depth in (1, 2, 4):  # predictions against simulation: the next order is a few per cent
        problem = theory.TwoPoints(ratio=30.0, power=4.0, tolerance=0.05)
        rate = theory.monotone_rate(problem, depth)
        (count,) = theory.iterations(problem, depth, np.array([rate]))
        # left out: growth of w_2 before w_1 arrives (under a percent of the crawl here)
        yield Check("thm-crawl", abs(theory.crawl(problem, depth, rate) / count - 1), 0.03)
    problem = theory.TwoPoints(ratio=100.0, start=1e-3)
    rate = theory.monotone_rate(problem, 1)
    (count,) = theory.iterations(problem, 1, np.array([rate]))
    yield Check("thm-crawl", abs(theory.crawl(problem, 1, rate) / count - 1), 0.01)
    problem = theory.TwoPoints(ratio=3.0, power=2.0, start=1e-3, tolerance=0.01)
    (count,) = theory.iterations(
        problem, 1, np.array([0.01])
    )  # log(100)/0.01, and −log(0.99) of it
    yield Check("thm-crawl", abs(theory.crawl(problem, 1, 0.01) / count - 1), 0.01)
    close = theory.TwoPoints(ratio=40.0, power=2.5, start=1e-3, tolerance=0.01)
    rate = theory.monotone_rate(close, 1) / 20
    (count,) = theory.iterations(close, 1, np.array([rate]))
    yield Check("thm-crawl", abs(theory.crawl(close, 1, rate) / count - 1), 0.01)
    # Coordinate 1 alone: a start along the first axis, the second reached by its own slow crawl
    for depth in (2, 4):
        problem = theory.TwoPoints(ratio=30.0, power=4.0, start=0.05, angle=0.0, tolerance=0.3)
        rate = theory.monotone_rate(problem, depth) / 50
        path = theory.trajectory(problem, depth, rate, 20_000)
        reached = int(np.argmax(path[:, 0] >= 0.7 * 30.0))
        yield Check("eq-approach", abs(theory.approach(problem, depth, rate) / reached - 1), 0.03)
    found = theory.stable_rates(theory.TwoPoints(ratio=30.0), 1, points=150)
    # plain descent from almost 0 is stable exactly below 2/y_1^{p−2}; grid and start: 3 %
    yield Check("eq-stable-descent", abs(found.largest * 30.0**2 / 2 - 1), 0.03)


def _simulated_by_hand() -> Iterator[Check]:
    """Counts, divergences, censoring and islands against a plain loop over Claim 2's update."""
    short = theory.TwoPoints(ratio=4.0, power=4.0, start=0.2, angle=30.0, horizon=10)
    for problem, depth in ((short, 1), (short, 2), (short._replace(horizon=5000), 3)):
        rates = theory.monotone_rate(problem, depth) * np.array([1e-6, 0.3, 1.0, 1.7, 2.6, 40.0])
        counts = theory.iterations(problem, depth, rates)
        paths = [theory.trajectory(problem, depth, rate, problem.horizon) for rate in rates]
        expected = [_count(problem, path) for path in paths]
        yield equal("eq-two-points", counts, expected)
        start = np.array([np.sqrt(3) / 2, 0.5]) * 0.2 * np.sqrt(2)
        yield equal("eq-two-points", paths[2][0], start)
        objective = theory.Separable(np.array([4.0, 1.0]), 4.0)
        slope = theory.single_output_field(start, objective.gradient(start), depth)
        yield equal("eq-two-points", paths[2][1], start - rates[2] * slope)
    done = theory.TwoPoints(ratio=4.0)
    rate = np.array([theory.monotone_rate(done, 2) / 10])
    (count,) = theory.iterations(done, 2, rate)
    for horizon, expected in ((count, count), (count - 1, -2)):
        found = theory.iterations(done._replace(horizon=int(horizon)), 2, rate)
        yield equal("eq-two-points", found, expected)
    for angle in (0.0, 90.0):  # from w_i = 7 to −4.88: outside, though it would come back
        far = theory.TwoPoints(ratio=1.0, start=7 / np.sqrt(2), angle=angle)
        yield equal("eq-two-points", theory.iterations(far, 1, np.array([0.055])), -1)
    problem = theory.TwoPoints(ratio=10.0)
    found = theory.stable_rates(problem, 3, points=150)
    rates = theory.monotone_rate(problem, 3) * np.geomspace(0.5, 12.0, 150)
    (longest,) = theory.iterations(problem, 3, rates[:1])
    limited = problem._replace(horizon=int(4 * longest))
    counts = list(theory.iterations(limited, 3, rates))
    first = next(i for i, count in enumerate(counts) if count < 0)
    best = min(range(first), key=lambda i: counts[i])
    pairs = itertools.pairwise(counts)
    islands = sum(a < 0 <= b for a, b in pairs)
    expected = [rates[first - 1], counts[first - 1], rates[best], counts[best], islands]
    yield equal("stable-rates", found, expected)
    # p = 2: beyond the edge the deep rule oscillates without end and without leaving
    found = theory.stable_rates(theory.TwoPoints(ratio=4.0, power=2.0, tolerance=0.1), 2)
    wild = theory.TwoPoints(ratio=4.0, power=2.0, tolerance=0.1, horizon=10_000)
    beyond = theory.iterations(wild, 2, np.array([1.1 * found.largest]))
    yield equal("stable-rates", beyond, two_points.CENSORED)


def _table_is_the_scan() -> Iterator[Check]:
    rows = theory.scaling(3.0, [1, 2], [4.0], [45.0, 60.0], tolerance=0.4)
    expected = [
        theory.stable_rates(theory.TwoPoints(4.0, 3.0, angle=angle, tolerance=0.4), depth)
        for depth in (1, 2)
        for angle in (45.0, 60.0)
    ]
    yield equal("scaling", [list(row.values())[4:] for row in rows], expected)
    keys = [[row["p"], row["depth"], row["ratio"], row["angle"]] for row in rows]
    yield equal("scaling", keys, [[3, d, 4, a] for d in (1, 2) for a in (45, 60)])


def _count(problem, path) -> int:
    """The definitions of the module's docstring, in the order in which they are stated."""
    y = np.array([problem.ratio, 1.0])
    for step, w in enumerate(path):
        if not np.linalg.norm(w) <= 4 * problem.ratio:
            return -1
        if np.all(np.abs(w - y) <= problem.tolerance * y):
            return step
    return -2
