"""Predicates of theory: the paper's statements, and one misprint, judged by computing both sides.

They need no runs: a criterion draws its cases from a fixed seed and asks `theory_checks`.
"""

from collections.abc import Callable, Iterable
from itertools import product

import numpy as np

from accel_core import theory
from accel_core.theory import Case
from report import theory_checks
from report.claims.base import (
    CONDITION,
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDED,
    Criterion,
    Runs,
    Verdict,
    claims,
)

SEED, CASES = 2018, 60
# A gain that is a power of y_1/y_2 is at least its square root; a factor is known to be less.
DECIDES = 0.5
# The misprinted condition fails if the theorem under it is off by more than any rounding.
WRONG = 1e-3

Checks = Iterable[theory_checks.Check]


def _all_hold(checks: Callable[[], Checks]) -> Criterion:
    def criterion(runs: Runs) -> tuple[bool, dict]:
        held = [check.holds for check in checks()]
        return all(held), {"cases": len(held), "within their tolerance": sum(held)}

    return criterion


def _cases() -> Iterable[Case]:
    rng = np.random.default_rng(SEED)
    for _ in range(CASES):
        depth, shape = int(rng.integers(1, 7)), tuple(rng.integers(1, (5, 6)))
        rank = int(rng.integers(1, min(shape) + 1))
        yield theory.balanced_case(rng, depth, shape, rank, 10.0 ** rng.integers(-2, 3), extra=2)


def warmup() -> Checks:
    rng = np.random.default_rng(SEED)
    vectors = rng.standard_normal((CASES, 2, 4))
    rates = 10.0 ** rng.uniform(-3, 0, CASES)
    for (w, gradient), rate in zip(vectors, rates, strict=True):
        yield theory_checks.warmup_identity(w, 0.7, gradient, rate)


def balancedness() -> Checks:
    for case in _cases():
        yield theory_checks.imbalance_conserved(case.weights, case.gradient, 0.1)


def end_to_end() -> Checks:
    return (theory_checks.theorem_1(case, 0.1) for case in _cases())


def spectrum() -> Checks:
    for case in _cases():
        yield from (theory_checks.claim_1_matrix(case), theory_checks.claim_1_eigen(case))


def one_output() -> Checks:
    vectors = np.random.default_rng(SEED).standard_normal((CASES, 2, 1, 4))
    for (w, gradient), depth, scale in product(vectors, (1, 2, 3, 6), (0.0, 1e-2, 1.0)):
        yield theory_checks.claim_2(scale * w, gradient, depth, 0.1)


def no_regularizer() -> Checks:
    for depth in (3, 4, 6):
        for check in theory_checks.theorem_2_constant(depth, 0.5, 1.0, np.eye(2)):
            if theory.half_annulus_constant(depth, 0.5, 1.0) > 100 * check.tolerance:
                yield check


def two_points(runs: Runs) -> Verdict:
    """By the 95 % interval of the exponent of the gain: above `DECIDES` a power; within ±`DECIDES`
    a factor (an equivalence test); an interval too wide to say so decides nothing."""
    ratios, angles = [8.0, 16.0, 32.0], [30.0, 45.0, 60.0]
    rows = {n: theory.scaling(4.0, [n], ratios, angles, points=60, tolerance=0.1) for n in (1, 2)}
    gains = np.array(
        [one["iterations"] / two["iterations"] for one, two in zip(*rows.values(), strict=True)]
    )
    power = theory.robust_order(np.array([row["ratio"] for row in rows[1]]), gains)
    evidence = {
        "median gain at each one's largest stable rate": float(np.median(gains)),
        "exponent of the gain": f"{power.exponent:.2f} [{power.low:.2f}, {power.high:.2f}]",
        "derived factor": theory.monotone_constant(4.0, 2),
    }
    if np.median(gains) <= 1:
        return Verdict(NOT_REPRODUCED, evidence, "no gain at each one's largest stable rate")
    if power.low > DECIDES:
        return Verdict(REPRODUCED, evidence)
    if max(-power.low, power.high) < DECIDES:
        return Verdict(CONDITION, evidence, "by a factor that does not grow as a power of y_1/y_2")
    return Verdict(UNDECIDED, evidence, "the interval of the gain's exponent is too wide")


def misprint(runs: Runs) -> tuple[bool, dict]:
    rng = np.random.default_rng(SEED)
    misses = []
    for _ in range(CASES):
        first, gradient = rng.standard_normal((2, 3, 3))
        weights = [first, np.linalg.qr(rng.standard_normal((3, 3)))[0] @ first]
        field = theory.end_to_end_field(theory.end_to_end(weights), gradient, 2)
        velocity = theory.end_to_end_velocity(weights, gradient)
        misses.append(float(np.linalg.norm(velocity + field) / np.linalg.norm(velocity)))
    evidence = {"least relative error of the velocity": min(misses), "cases": CASES}
    return min(misses) <= WRONG, evidence


CHECKED = (warmup, balancedness, end_to_end, spectrum, one_output, no_regularizer)
CLAIMS = claims(
    "theory",
    {f"theory-{checks.__name__.replace('_', '-')}": _all_hold(checks) for checks in CHECKED}
    | {"theory-two-points": two_points, "theory-misprint": misprint},
)
