"""Tolerances from both sides: a check fails where its quantity is off by ten times its tolerance,
holds where it is off by a tenth, and no tolerance is wider than what is stated here.
"""

import numpy as np
import pytest

from accel_core import theory
from accel_core.theory import circulation, layers, limits, preconditioning, two_points, warmup
from report import theory_checks as checks

RNG = np.random.default_rng(1)
CASE = theory.balanced_case(RNG, 3, (2, 3), 2, spread=0.1)
W, G = RNG.standard_normal((2, 1, 4))
FIRST, SECOND = W[0], G[0]
PLANE = np.eye(2)[0], np.eye(2)[1]
QUARTIC = theory.Separable(np.array([3.0, -2.0]))


# a check on a fixed case, its tolerance there, and the function whose value it holds to account
BOUNDS = {
    "warmup": (lambda: checks.warmup_identity(FIRST, 0.7, SECOND, 0.1), 2e-14,
               warmup, "dropped_term"),
    "memory": (lambda: checks.warmup_memory(np.random.default_rng(2), 12, 3), 4e-12,
               warmup, "gradient_weights"),
    "flow of balancedness": (lambda: checks.imbalance_conserved(CASE.weights, CASE.gradient, 0.1),
                             1e-13, layers, "layer_gradients"),
    "step of balancedness": (lambda: checks.imbalance_step(CASE.weights, CASE.gradient, 0.3, 0.2),
                             1e-13, layers, "descend"),
    "theorem 1": (lambda: checks.theorem_1(CASE, 0.3), 5e-13, preconditioning, "end_to_end_field"),
    "claim 1": (lambda: checks.claim_1_matrix(CASE), 4e-13, preconditioning, "preconditioner"),
    "spectrum": (lambda: checks.claim_1_eigen(CASE), 4e-13,
                 preconditioning, "preconditioner_eigensystem"),
    "claim 2": (lambda: checks.claim_2(W, G, 3, 0.1), 1e-13,
                preconditioning, "single_output_field"),
    "decay": (lambda: checks.weight_decay_potential(CASE), 5e-13,
              preconditioning, "schatten_gradient"),
    "escape": (lambda: checks.escape(3, 0.02, 0.9, 1.7), 1e-9, limits, "escape_time"),
    "loop": (lambda: checks.theorem_2_constant(4, 0.5, 1.0, PLANE)[0], 1e-10,
             circulation, "half_annulus_constant"),
    "loop's bound": (lambda: checks.theorem_2_bound(4, 0.5, 1.0, 1.3, 0.4), 1e-10,
                     circulation, "half_annulus_lower_bound"),
    "curl": (lambda: checks.theorem_2_any(QUARTIC, PLANE, 3, 0.5, 1.0)[1], 6e-9,
             circulation, "area_integral"),
    "two layers": (lambda: checks.two_layer_potential(theory.Radial(FIRST), SECOND, FIRST), 1e-9,
                   circulation, "adaptive_integral"),
    "monotone rate": (lambda: checks.monotone_rate(4.0, 2), 1e-8, two_points, "monotone_rate"),
    "compiled step": (lambda: checks.compiled_step(FIRST[:2], 5.0, 4.0, 2, 0.01), 1e-13,
                      two_points, "_step"),
}  # fmt: skip


def moved(value, shift):
    """A function's value, `shift` added to each of its numbers (of a tuple's first part)."""
    if isinstance(value, list):
        return [moved(part, shift) for part in value]
    return (value[0] + shift, *value[1:]) if isinstance(value, tuple) else value + shift


@pytest.mark.parametrize("name", list(BOUNDS))
def test_a_check_fails_ten_tolerances_away_and_holds_within_a_tenth(name, monkeypatch):
    check, _, module, function = BOUNDS[name]
    shipped = getattr(module, function)

    def off_by(shift):
        monkeypatch.setattr(module, function, lambda *a, **k: moved(shipped(*a, **k), shift))
        return check()

    slope = off_by(1e-4).error / 1e-4  # how much of a shift the check sees
    for tolerances, holds in ((10, False), (0.1, True)):
        assert off_by(tolerances * check().tolerance / slope).holds is holds


@pytest.mark.parametrize("name", list(BOUNDS))
def test_no_tolerance_is_wider_than_stated(name):
    check, stated, _, _ = BOUNDS[name]
    assert check().holds and stated / 3 < check().tolerance < 3 * stated


def test_the_bound_of_unbalanced_layers_is_not_slack():
    """It is attained where one layer is zero: a tenth less of it would fail."""
    first, second = np.zeros((1, 1)), np.array([[0.5]])
    found = checks.unbalanced_two_layers([first, second], np.ones((1, 1)))
    assert found.holds and found.error > 0.99 * found.tolerance
