"""Every identity of the theory over random shapes, depths 1-6, deficient ranks and scales.

Tolerances are derived in `report.theory_checks` and beside each check; none is chosen here.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from accel_core import theory
from accel_core.initializers import factor_balanced
from accel_core.theory import orders
from report import theory_checks

seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
depths = st.integers(1, 6)
scales = st.integers(-3, 2).map(lambda exponent: 10.0**exponent)
decays = st.sampled_from([0.0, 1e-3, 0.5])


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 5)))
    rank = draw(st.integers(1, min(shape)))
    spread = draw(st.sampled_from([1.0, 1e-2, 1e-6]))
    return theory.balanced_case(
        draw(seeds), draw(depths), shape, rank, draw(scales), spread, extra=draw(st.integers(0, 3))
    )


@st.composite
def unbalanced(draw):
    rng, scale = draw(seeds), draw(scales)
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=7))
    weights = [scale * rng.standard_normal((m, n)) for n, m in pairwise(sizes)]
    return weights, rng.standard_normal((sizes[-1], sizes[0]))


def holds(*checks):
    assert all(check.holds for check in checks), [check for check in checks if not check.holds]


@given(cases(), decays)
def test_theorem_1_closed_equation_is_the_layers_velocity(case, decay):
    holds(theory_checks.theorem_1(case, decay))


@given(cases())
def test_claim_1_kronecker_sum_and_spectrum(case):
    holds(theory_checks.claim_1_matrix(case), theory_checks.claim_1_eigen(case))


@given(cases())
def test_hidden_widths_do_not_appear(case):
    """Other widths, other layers, same end-to-end matrix: same velocity."""
    widths = (case.matrix.shape[1], *[9] * (case.depth - 1), case.matrix.shape[0])
    wide = factor_balanced(case.matrix, widths, np.random.default_rng(0))
    holds(theory_checks.theorem_1(case._replace(weights=wide, matrix=theory.end_to_end(wide))))


@given(cases())
def test_weight_decay_is_a_schatten_penalty_preconditioned(case):
    sigma = np.linalg.svd(case.matrix, compute_uv=False)
    assume(sigma[-1] > 1e-12 * sigma[0])
    holds(theory_checks.weight_decay_potential(case))


@given(seeds, depths, st.integers(1, 7), scales, decays)
def test_claim_2_is_theorem_1_with_one_output(rng, depth, inputs, scale, decay):
    w, g = scale * rng.standard_normal((1, inputs)), rng.standard_normal((1, inputs))
    holds(theory_checks.claim_2(w, g, depth, decay), theory_checks.claim_2(0 * w, g, depth, decay))


@given(unbalanced(), decays, st.sampled_from([1e-3, 0.3]))
def test_balancedness_under_flow_and_under_descent(network, decay, rate):
    holds(theory_checks.imbalance_conserved(*network, decay))
    holds(theory_checks.imbalance_step(*network, rate, decay))


@given(seeds, st.integers(1, 6), st.floats(0.01, 10), st.booleans(), st.floats(1e-4, 1))
def test_warmup_identity_is_exact(rng, inputs, scalar, negative, rate):
    vectors = rng.standard_normal((2, inputs))
    holds(
        theory_checks.warmup_identity(vectors[0], -scalar if negative else scalar, vectors[1], rate)
    )
    holds(theory_checks.warmup_memory(rng, inputs * 3, inputs))


@given(seeds, depths, st.floats(0.01, 0.9), st.floats(0.1, 5))
@example(np.random.default_rng(0), 2, 0.75, 3.0)  # the quadrature can do no better there, and says
@settings(max_examples=25)
def test_theorem_2_integrals_agree_with_closed_form_and_bound(rng, depth, share, outer):
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    holds(*theory_checks.theorem_2_constant(depth, share * outer, outer, (basis[0], basis[1])))
    holds(theory_checks.theorem_2_bound(depth, share * outer, outer, *rng.uniform(0, 3, 2)))


@given(seeds, depths, st.floats(0.3, 0.9), st.sampled_from(["quadratic", "radial", "separable"]))
@settings(max_examples=15)
def test_theorem_2_curl_formula_by_greens_theorem(rng, depth, share, kind):
    basis = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    matrix = rng.standard_normal((3, 3))
    objective = {
        "quadratic": theory.Quadratic(rng.standard_normal(3), matrix + matrix.T),
        "radial": theory.Radial(rng.standard_normal(3)),
        # the curve stays where no residual vanishes: |w_i| ≤ 1 < |y_i|
        "separable": theory.Separable(rng.choice([-1, 1], 3) * rng.uniform(1.5, 3, 3), 3.5),
    }[kind]
    holds(*theory_checks.theorem_2_any(objective, (basis[0], basis[1]), depth, share, 1.0))


@given(seeds, st.floats(-2, 2))
def test_two_layers_gradient_field_exactly_where_curvature_is_radial(rng, bend):
    slope, ends = rng.standard_normal(3), rng.standard_normal((2, 3))
    isotropic = theory.Quadratic(slope, bend * np.eye(3))
    holds(theory_checks.two_layer_potential(isotropic, *ends))
    holds(theory_checks.two_layer_potential(theory.Radial(slope), *ends))
    w = ends[0]
    for objective in (isotropic, theory.Radial(slope)):
        twist = theory.curl(w, objective.gradient(w), objective.hessian(w), 2)
        # (Hw)∧w with Hw a multiple of w: rounding of its two equal halves
        scale = np.linalg.norm(objective.hessian(w) @ w) * np.linalg.norm(w)
        assert np.abs(twist).max() <= 8 * np.finfo(float).eps * max(scale, 1.0)


def test_two_layers_anisotropic_quadratic_has_circulation_off_centre_only():
    objective = theory.Quadratic(np.array([1.0, -0.5]), np.diag([1.0, 3.0]))
    plane = np.eye(2)[0], np.eye(2)[1]

    def field(w):
        return theory.single_output_field(w, objective.gradient(w), 2)

    centred = theory.gauss_integral(field, theory.circle(np.zeros(2), 1.0, plane))
    aside = theory.gauss_integral(field, theory.circle(np.ones(2), 0.5, plane))
    assert abs(centred) < 1e-12 < 1e-2 < abs(aside)


@given(depths, st.floats(1e-3, 0.5), st.floats(0.6, 3), st.floats(0.1, 10))
@settings(max_examples=25)
def test_escape_time(depth, start, end, slope):
    holds(theory_checks.escape(depth, start, end, slope))


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), scales)
def test_two_unbalanced_layers_keep_the_bound(rng, inputs, width, outputs, scale):
    weights = [scale * rng.standard_normal((width, inputs)), rng.standard_normal((outputs, width))]
    holds(theory_checks.unbalanced_two_layers(weights, rng.standard_normal((outputs, inputs))))


@given(st.floats(2.2, 8), depths)
def test_monotone_rate_touches_the_target(power, depth):
    holds(theory_checks.monotone_rate(power, depth))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_crawl_grows_with_the_ratio_as_predicted(depth):
    """At one rate, coordinate 2 takes y_1^{−(2−2/N)} as long: the exponent, not only the size."""
    far, near = (theory.TwoPoints(ratio, tolerance=0.05) for ratio in (40.0, 20.0))
    rate = np.array([theory.monotone_rate(far, depth)])
    counted = [theory.iterations(problem, depth, rate)[0] for problem in (far, near)]
    predicted = [theory.crawl(problem, depth, rate[0]) for problem in (far, near)]
    # left out: what w_2 grows before w_1 arrives, a few per cent of the crawl
    assert counted[0] / counted[1] == pytest.approx(predicted[0] / predicted[1], rel=0.1)


@given(seeds, depths, st.floats(2, 6), st.floats(1, 100))
@example(np.random.default_rng(0), 3, 2.0, 1.0)
def test_compiled_two_point_step_is_claim_2(rng, depth, power, ratio):
    holds(theory_checks.compiled_step(rng.uniform(-2, 2, 2) * ratio, ratio, power, depth, 1e-3))


square, row = np.eye(3), np.ones((1, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.end_to_end([]), "no layers"),
        (lambda: theory.end_to_end([row, square]), r"W_2 of shape \(3, 3\) cannot follow"),
        (lambda: theory.layer_gradients([square], row), "pass dL¹/dW"),
        (lambda: theory.end_to_end_field(square, square, 0), "depth 0"),
        (lambda: theory.end_to_end_field(square, square, 1.5), r"depth 1\.5"),
        (lambda: theory.single_output_field(row, np.ones((1, 2)), 2), "must agree"),
        (lambda: theory.singular_system(np.ones(3)), "a matrix"),
        (lambda: theory.schatten_gradient(np.diag([1.0, 0.0]), 3), "full rank"),
        (lambda: theory.coefficients(row[0], 0.0, row[0], 0.1), "w_2 = 0"),
        (lambda: theory.half_annulus((square[0], square[1]), 2.0, 1.0), "0 < r < R"),
        (lambda: theory.escape_time(2, 1.0, 0.5, 1.0), "start ≤ end"),
        (lambda: theory.escape_threshold(2, 0.1, 1.0), "from depth 3"),
        (lambda: theory.unbalanced_bound([square], square), "derived for two"),
        (lambda: orders.fit_order([1.0, 2.0], [1.0, 2.0]), "at least three"),
        (lambda: orders.fit_order([1.0, 2.0, 3.0], [1.0, 0.0, 1.0]), "positive"),
        (lambda: theory.iterations(theory.TwoPoints(0.5), 2, [0.1]), "ratio ≥ 1"),
        (
            lambda: theory.stable_rates(theory.TwoPoints(9.0, horizon=2, tolerance=0.01), 2),
            "raise the horizon",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_integral_that_is_not_known_is_no_number():
    def jagged(w):
        return np.sign(np.sin(1e5 * w))

    with pytest.raises(RuntimeError, match="smooth the field"):
        theory.adaptive_integral(jagged, [theory.segment(np.zeros(1), np.ones(1))])


def test_an_escape_that_takes_too_long_says_so():
    weights, flat = [np.array([[1.0, 0.0]])], np.array([[-2.0, 0.0]])
    with pytest.raises(RuntimeError, match="not reached in 9 steps"):
        theory.escape_steps(weights, lambda matrix: flat, 0.1, 2.9, budget=9)


def test_a_flow_that_blows_up_says_so():
    with pytest.raises(RuntimeError, match="shorten the horizon"):
        theory.gradient_flow([np.ones((1, 1))], lambda W: -(W**3), np.array([0.0, 10.0]))
