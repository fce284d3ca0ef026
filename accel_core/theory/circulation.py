"""Theorem 2: line integrals of Claim 2's field, which vanish on every loop if it is a gradient."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import fixed_quad, quad

Vector = NDArray[np.float64]
Field = Callable[[Vector], Vector]


class Piece(NamedTuple):
    """A smooth piece of a curve over t in [0, 1]: t (m,) ↦ points and velocities, both (m, d)."""

    point: Callable[[Vector], Vector]
    velocity: Callable[[Vector], Vector]


def segment(start: Vector, end: Vector) -> Piece:
    """Return the straight piece from ``start`` (d,) to ``end`` (d,)."""
    return Piece(
        lambda t: start + t[:, None] * (end - start),
        lambda t: np.broadcast_to(end - start, (t.size, start.size)),
    )


def arc(
    centre: Vector, radius: float, plane: tuple[Vector, Vector], angles: tuple[float, float]
) -> Piece:
    """Return the arc about ``centre`` (d,) in an orthonormal ``plane``, between two angles."""
    first, second = plane
    begin, sweep = angles[0], angles[1] - angles[0]

    def point(t: Vector) -> Vector:
        angle = begin + sweep * t[:, None]
        return centre + radius * (np.cos(angle) * first + np.sin(angle) * second)

    def velocity(t: Vector) -> Vector:
        angle = begin + sweep * t[:, None]
        return radius * sweep * (np.cos(angle) * second - np.sin(angle) * first)

    return Piece(point, velocity)


def half_annulus(plane: tuple[Vector, Vector], inner: float, outer: float) -> list[Piece]:
    """Return the proof's closed curve for e = ``plane[0]``, the gradient's direction at 0.

    Along e from −R to −r, the half circle of radius r, along e from r to R, and the half circle
    of radius R back: counter-clockwise in (e, ``plane[1]``). ValueError unless 0 < r < R.
    """
    if not 0 < inner < outer:
        raise ValueError(f"radii r = {inner}, R = {outer}: 0 < r < R is needed")
    e, origin = plane[0], np.zeros_like(plane[0])
    return [
        segment(-outer * e, -inner * e),
        arc(origin, inner, plane, (np.pi, 0.0)),
        segment(inner * e, outer * e),
        arc(origin, outer, plane, (0.0, np.pi)),
    ]


def circle(centre: Vector, radius: float, plane: tuple[Vector, Vector]) -> list[Piece]:
    """Return a full circle, counter-clockwise in ``plane``."""
    return [arc(centre, radius, plane, (0.0, 2 * np.pi))]


def _along(field: Field, piece: Piece, t: Vector) -> Vector:
    return np.sum(field(piece.point(t)) * piece.velocity(t), axis=1)


def gauss_integral(field: Field, curve: list[Piece]) -> float:
    """Return ∮ field · dw by Gauss-Legendre, 160 nodes a piece, no error estimate."""
    return float(sum(fixed_quad(partial(_along, field, it), 0, 1, n=160)[0] for it in curve))


def adaptive_integral(field: Field, curve: list[Piece]) -> float:
    """Return ∮ field · dw by QUADPACK's adaptive Gauss-Kronrod rule.

    RuntimeError where its own estimate of the error exceeds 1e-11 of the integrand's size.
    """
    total = 0.0
    for piece in curve:
        integrand = partial(_along, field, piece)
        size = max(1.0, float(np.abs(integrand(np.linspace(0, 1, 9))).max()))
        # full_output: a remark that rounding is all that is left comes as text, not as a warning
        value, error = quad(
            lambda t, of=integrand: of(np.array([t])).item(),
            0, 1, epsabs=1e-13 * size, epsrel=0, full_output=1,
        )[:2]  # fmt: skip
        if not error <= 1e-11 * size:
            raise RuntimeError(f"the integral is known to {error:.1e} only: smooth the field")
        total += value
    return total


def area_integral(
    curl_at: Callable[[Vector], Vector], plane: tuple[Vector, Vector], inner: float, outer: float
) -> float:
    """Return ∬ curl over the half annulus: by Green's theorem the line integral around it.

    ``curl_at`` maps w (d,) to the matrix ∂_jF_k − ∂_kF_j (d, d), as ``curl`` does.
    """

    def density(angles: Vector, radius: float) -> list[float]:
        around = np.outer(np.cos(angles), plane[0]) + np.outer(np.sin(angles), plane[1])
        return [radius * (plane[0] @ curl_at(radius * u) @ plane[1]) for u in around]

    def over_half_circles(radii: Vector) -> list[float]:
        return [fixed_quad(density, 0, np.pi, (radius,), n=20)[0] for radius in radii]

    return float(fixed_quad(over_half_circles, inner, outer, n=20)[0])


def curl(w: Vector, gradient: Vector, hessian: Vector, depth: int) -> Vector:
    """Return ∂_jF_k − ∂_kF_j of Claim 2's field F at w ≠ 0, shape (d, d).

    (N−1)‖w‖^{−2/N} ( (N−2)/N · g∧w + (Hw)∧w ), where x∧w = xwᵀ − wxᵀ: it is 0 everywhere, and F a
    gradient, exactly where (N−2)/N · ∇L¹(w) + ∇²L¹(w)·w is parallel to w. Implements thm-curl,
    eq-curl.
    """
    twist = (depth - 2) / depth * gradient + hessian @ w
    wedge = np.outer(twist, w) - np.outer(w, twist)
    return (depth - 1) * np.linalg.norm(w) ** (-2 / depth) * wedge


def half_annulus_constant(depth: int, inner: float, outer: float) -> float:
    """Return ∮F·dw for a constant gradient of norm 1: 2(R^a − r^a)(N−1)(N−2)/(3N−2), a = 3−2/N.
    Implements thm-no-regularizer, eq-loop.
    """
    a = 3 - 2 / depth
    return 2 * (outer**a - inner**a) * (depth - 1) * (depth - 2) / (3 * depth - 2)


def half_annulus_lower_bound(
    depth: int, inner: float, outer: float, gradient_norm: float, deviation: float
) -> float:
    """Return the least that ∮F·dw can be where ‖dL¹/dW(w) − dL¹/dW(0)‖ ≤ ``deviation`` for ‖w‖ ≤ R.

    The constant part at 0 gives ``half_annulus_constant``; on the segments the rest is stretched by
    at most N‖w‖^{2−2/N}, on the arcs, which run across w, by ‖w‖^{2−2/N} (proof of Theorem 2).
    Implements thm-lower-bound, eq-lower-bound.
    """
    a = 3 - 2 / depth
    segments = 2 * depth / a * (outer**a - inner**a)
    arcs = np.pi * (outer**a + inner**a)
    return gradient_norm * half_annulus_constant(depth, inner, outer) - deviation * (
        segments + arcs
    )


def isotropic_potential(
    w: Vector, slope: Vector, radial_moment: Callable[[Vector], Vector]
) -> Vector:
    """Return ‖w‖⟨w, U⟩ + ∫_0^{‖w‖} 2s f'(s) ds over the last axis: for N = 2 and
    L¹(w) = ⟨w, U⟩ + f(‖w‖), the function whose gradient is Claim 2's field.

    ``radial_moment`` maps ‖w‖ to that integral. Implements thm-two-layers, eq-potential.
    """
    length = np.linalg.norm(w, axis=-1)
    return length * (w @ slope) + radial_moment(length)
