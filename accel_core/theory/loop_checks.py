"""Checks of Theorem 2's line integrals and of the two-point problem."""

import numpy as np
from scipy.integrate import fixed_quad

from accel_core.models import Array
from accel_core.theory import circulation, preconditioning, two_points
from accel_core.theory.check import EPS, Check
from accel_core.theory.check import norm as length
from accel_core.theory.layers import Matrix
from accel_core.theory.objectives import Quadratic, Radial, Separable

Objective = Quadratic | Radial | Separable
Plane = tuple[Array, Array]


def theorem_2_constant(depth: int, inner: float, outer: float, plane: Plane) -> list[Check]:
    """Two quadratures and the closed form, constant gradient of norm 1 along ``plane[0]``."""
    e, _ = plane
    objective = Quadratic(e, np.zeros((e.size, e.size)))
    exact = circulation.half_annulus_constant(depth, inner, outer)
    return [
        Check("thm-no-regularizer", abs(value - exact), 1e-10 * max(1.0, outer ** (3 - 2 / depth)))
        for value in _line_integrals(objective, depth, plane, inner, outer)
    ]


def theorem_2_any(
    objective: Objective, plane: Plane, depth: int, inner: float, outer: float
) -> list[Check]:
    """Two quadratures of the line integral against Green's area integral of the curl formula."""

    def curl_at(w: Array) -> Matrix:
        return circulation.curl(w, objective.gradient(w), objective.hessian(w), depth)

    area = circulation.area_integral(curl_at, plane, inner, outer)
    ends = np.linalg.norm(objective.gradient(np.outer([-outer, outer], plane[0])), axis=1)
    size = max(1.0, outer ** (3 - 2 / depth)) * max(1.0, float(ends.max()))
    return [
        Check("thm-curl", abs(value - area), 1e-10 * size)
        for value in _line_integrals(objective, depth, plane, inner, outer)
    ]


def theorem_2_bound(depth: int, inner: float, outer: float, norm: float, deviation: float) -> Check:
    """The proof's lower bound is attained by the worst deviation, which opposes the curve."""
    plane = np.eye(2)[0], np.eye(2)[1]
    total = 0.0
    for piece in circulation.half_annulus(plane, inner, outer):

        def along(t: Array, piece: circulation.Piece = piece) -> Array:
            w, velocity = piece.point(t), piece.velocity(t)
            speed = np.linalg.norm(velocity, axis=1, keepdims=True)
            worst = norm * plane[0] - deviation * velocity / speed
            field = preconditioning.single_output_field(w, worst, depth)
            return np.sum(field * velocity, axis=1)

        total += fixed_quad(along, 0, 1, n=160)[0]
    bound = circulation.half_annulus_lower_bound(depth, inner, outer, norm, deviation)
    size = max(1.0, outer ** (3 - 2 / depth)) * (norm + depth * deviation)
    return Check("thm-lower-bound", abs(float(total) - bound), 1e-10 * size)


def two_layer_potential(objective: Quadratic | Radial, start: Matrix, end: Matrix) -> Check:
    """N = 2, L¹ = ⟨w, U⟩ + f(‖w‖): the potential's difference is the field's integral."""
    if isinstance(objective, Radial):  # f' = s³
        moment = lambda s: 2 * s**5 / 5  # noqa: E731
    else:  # f' = hs
        moment = lambda s: 2 * objective.curvature[0, 0] * s**3 / 3  # noqa: E731

    def field(w: Matrix) -> Matrix:
        return preconditioning.single_output_field(w, objective.gradient(w), 2)

    path = [circulation.segment(start, end)]
    ends = circulation.isotropic_potential(np.array([start, end]), objective.slope, moment)
    return Check(
        "thm-two-layers",
        abs(circulation.adaptive_integral(field, path) - float(ends[1] - ends[0])),
        1e-10 * max(1.0, float(np.abs(ends).max())),
    )


def monotone_rate(power: float, depth: int) -> Check:
    """At the monotone rate the largest w_1 after one step is y_1, touched, not passed (p > 2)."""
    problem = two_points.TwoPoints(1.0, power)
    u, spacing = np.linspace(0.0, 1.0, 20_001, retstep=True)
    u = u[:-1]
    g = -((1 - u) ** (power - 1))
    rate = two_points.monotone_rate(problem, depth)
    w = np.stack([u, np.zeros_like(u)], axis=1)
    step = rate * preconditioning.single_output_field(w, np.stack([g, 0 * g], axis=1), depth)
    # u^a(1−u)^b, scaled to maximum 1, is missed by the grid by its curvature (a+b)³/ab × spacing²/8
    a, b = 2 - 2 / depth, power - 2
    missed = (a + b) ** 3 / (a * b) * spacing**2 / 8 if depth > 1 else 0.0
    reach = float(np.max(-step[:, 0] / (1 - u)))
    return Check("thm-monotone-rate", abs(reach - 1), 1.1 * missed + 64 * EPS)


def compiled_step(w: Array, ratio: float, power: float, depth: int, rate: float) -> Check:
    """The compiled two-point step is Claim 2's update."""
    objective = Separable(np.array([ratio, 1.0]), power)
    field = preconditioning.single_output_field(w, objective.gradient(w), depth)
    new = np.array(two_points._step(w[0], w[1], ratio, power, depth, rate))
    size = length(w) + rate * depth * length(w) ** (2 - 2 / depth) * length(objective.gradient(w))
    return Check("eq-two-points", length(new - (w - rate * field)), 64 * EPS * size)


def _line_integrals(
    objective: Objective, depth: int, plane: Plane, inner: float, outer: float
) -> list[float]:
    def field(w: Matrix) -> Matrix:
        return preconditioning.single_output_field(w, objective.gradient(w), depth)

    curve = circulation.half_annulus(plane, inner, outer)
    return [circulation.gauss_integral(field, curve), circulation.adaptive_integral(field, curve)]
