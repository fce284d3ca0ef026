"""The claims of theory: their verdicts, and that each verdict follows from what is computed."""

import pytest

from accel_core import imbalance, theory
from accel_core.theory import circulation, layers, preconditioning
from accel_core.theory import warmup as warmup_module
from report import theory_checks
from report.claims import CONDITION, NOT_REPRODUCED, REPRODUCED, UNDECIDED
from report.claims import theory as claims

IDS = [claim.id.removeprefix("theory-") for claim in claims.CLAIMS]
OTHER_VERDICTS = {"two-points": CONDITION, "misprint": NOT_REPRODUCED}


def judged(name):
    (claim,) = [it for it in claims.CLAIMS if it.id == f"theory-{name}"]
    return claim.judge({})


@pytest.mark.parametrize("name", IDS)
def test_verdict(name):
    assert judged(name).outcome == OTHER_VERDICTS.get(name, REPRODUCED)


@pytest.mark.parametrize(
    ("name", "module", "function", "wrong"),
    [
        ("warmup", warmup_module, "dropped_term", lambda w, gradient, rate: 0 * w),
        ("balancedness", theory_checks, "imbalance", lambda w: [1 + gap for gap in imbalance(w)]),
        ("end-to-end", preconditioning, "left_power", lambda s, e: s.left @ s.left.T),
        ("spectrum", preconditioning, "right_power", lambda s, e: s.right @ s.right.T),
        ("one-output", preconditioning, "adaptive_factor", lambda w, depth: 1.0),
        ("no-regularizer", circulation, "half_annulus_constant", lambda *a: 0.1),
    ],
)
def test_an_altered_statement_is_not_reproduced(monkeypatch, name, module, function, wrong):
    monkeypatch.setattr(module, function, wrong)
    try:
        outcome = judged(name).outcome
    except ValueError:  # the altered function cannot take the shapes
        return
    assert outcome == NOT_REPRODUCED


def _rows(gain):
    """Scans in which the gain over one layer is a given function of the ratio and the angle."""

    def scaling(power, depths, ratios, angles, **options):
        return [
            {"ratio": r, "iterations": 1e3 * r**2 / (1 if depths == [1] else gain(r, i))}
            for r in ratios
            for i, _ in enumerate(angles)
        ]

    return scaling


@pytest.mark.parametrize(
    ("gain", "outcome"),
    [
        (lambda ratio, i: 3.3 + 0.1 * i, CONDITION),
        (lambda ratio, i: (1 + 0.1 * i) * ratio, REPRODUCED),
        (lambda ratio, i: 0.7, NOT_REPRODUCED),
        # neither a power nor shown to be none: slopes from −1 to 1
        (lambda ratio, i: 3 * ratio ** (i - 1.0) * 32 ** (1 - i / 2), UNDECIDED),
    ],
)
def test_two_points_tells_a_power_from_a_factor_and_from_what_is_not_known(
    monkeypatch, gain, outcome
):
    monkeypatch.setattr(theory, "scaling", _rows(gain))
    assert judged("two-points").outcome == outcome


def test_the_misprint_would_be_reproduced_if_the_theorem_held_under_it(monkeypatch):
    last = []

    def product(weights):
        last[:] = weights
        return layers.end_to_end(weights)

    def field(matrix, gradient, depth):
        return -layers.end_to_end_velocity(last, gradient)

    monkeypatch.setattr(theory, "end_to_end", product)
    monkeypatch.setattr(theory, "end_to_end_field", field)
    assert judged("misprint").outcome == REPRODUCED
