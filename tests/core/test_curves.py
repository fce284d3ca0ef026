"""A curve's crossings and arrivals: values derived by hand, and what must hold for any curve."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_core.curves import arrival, deviation_dex, distance_at, iterations_to

CURVE = [0, 1, 10, 100], [200, 100, 10, 1]


@pytest.mark.parametrize(
    ("target", "crossing"),
    [
        (10**1.5, (10**0.5, 1, 10)),  # distance 100/t between 1 and 10
        (10, (10, 1, 10)),  # met exactly at a recorded iteration
        (200 / math.sqrt(2), (0.5, 0, 1)),  # log distance half way, iteration linear from 0
        (300, (0, 0, 0)),  # met at the start
        (0.9, (math.inf, 100, math.inf)),  # censored
    ],
)
def test_crossing_by_hand(target, crossing):
    assert tuple(iterations_to(*CURVE, target)) == pytest.approx(crossing)


def test_the_first_of_several_crossings_counts():
    crossing = iterations_to([0, 1, 2, 4, 8], [9, 4, 1, 4, 0.5], 2)
    assert tuple(crossing) == pytest.approx((math.sqrt(2), 1, 2))


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        # back above, then below for good: log2 distance from 2 to −1 in one octave, 1 at a third
        ([9, 4, 1, 4, 0.5], (4 * 2 ** (1 / 3), 4, 8)),
        ([9, 4, 1, 4, 3], (math.inf, 8, math.inf)),  # an oscillation that ends above: never
        ([9, 4, 1, 1, 0.5], (math.sqrt(2), 1, 2)),  # as the first crossing where it stays
        ([1, 2, 2, 1, 1], (0, 0, 0)),  # met at the start, and at the target counts
    ],
)
def test_arrival_is_the_crossing_after_which_a_curve_stays(distance, expected):
    found = arrival([0, 1, 2, 4, 8], distance, 2)
    assert tuple(found) == pytest.approx(expected)


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=20), st.floats(1e-6, 1e6))
def test_nothing_arrives_before_it_first_crosses(distance, target):
    at = np.arange(len(distance))
    first, last = iterations_to(at, distance, target), arrival(at, distance, target)
    assert last.iterations >= first.iterations
    assert math.isinf(last.iterations) == (distance[-1] > target)
    falling = np.minimum.accumulate(distance)  # no way back: the first crossing is the arrival
    assert arrival(at, falling, target) == iterations_to(at, falling, target)


def test_a_distance_rounded_below_zero_is_reached():
    crossing = iterations_to([0, 1, 2], [1, 1e-3, -1e-17], 1e-8)
    assert 1 < crossing.iterations < 2


@given(
    st.floats(0.1, 3), st.floats(-3, 3), st.lists(st.integers(1, 10**6), min_size=2, unique=True)
)
def test_power_laws_are_interpolated_exactly(exponent, log_scale, iterations):
    """d = (t/s)^-a meets the target (t₀/s)^-a at t₀, wherever t₀ lies between two recorded ones."""
    at = np.sort(np.array(iterations, dtype=float))
    distance = (at / 10**log_scale) ** -exponent
    middle = math.sqrt(at[0] * at[-1])
    target = float((middle / 10**log_scale) ** -exponent)
    crossing = iterations_to(at, distance, target)
    assert crossing.iterations == pytest.approx(middle, rel=1e-9)
    assert crossing.before <= crossing.iterations <= crossing.after * (1 + 1e-12)
    assert distance_at(at, distance, crossing.iterations) == pytest.approx(target, rel=1e-9)


@pytest.mark.parametrize("target", [0, -1, math.nan, math.inf])
def test_a_target_is_positive_and_finite(target):
    with pytest.raises(ValueError, match="positive, finite"):
        iterations_to(*CURVE, target)


@pytest.mark.parametrize("distance", [[], [1, math.nan], [1, math.inf], [1, 2, 3]])
def test_a_curve_is_finite_and_on_its_axis(distance):
    with pytest.raises(ValueError, match="a curve has at least one"):
        iterations_to([0, 1], distance, 1)


def test_distance_past_the_end_and_before_the_log_axis():
    assert distance_at(*CURVE, [1, 100, 101]) == pytest.approx([100, 1, math.inf])
    assert distance_at([0], [5], 3) == math.inf
    with pytest.raises(ValueError, match="starts at iteration 1"):
        distance_at(*CURVE, 0.5)


def test_deviation_is_the_largest_on_the_reference_points_after():
    # curve 100/t, so the reference is off by -0.3 at 2, +0.03 at 20, -0.02 at 50 dex
    reference = [2, 20, 50], [50 * 10**0.3, 5 * 10**-0.03, 2 * 10**0.02]
    assert deviation_dex(CURVE, reference) == pytest.approx(0.3)
    assert deviation_dex(CURVE, reference, after=3) == pytest.approx(0.03)
    assert deviation_dex(CURVE, reference, after=20) == pytest.approx(0.03)
    assert deviation_dex(CURVE, reference, after=21) == pytest.approx(0.02)
    with pytest.raises(ValueError, match="ends at iteration 50"):
        deviation_dex(CURVE, reference, after=51)
    assert deviation_dex(CURVE, ([20, 200], [5, 1])) == math.inf
