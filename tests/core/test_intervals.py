"""The interval of a median against scipy's own, enumeration, and every completion of a bound."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accel_core.intervals import Estimate, median_interval

POSITIVE = st.floats(1e-3, 1e3)


def test_range_of_five_misses_the_median_when_all_are_on_one_side():
    # 2 of the 32 equally likely patterns of sides
    missed = sum(len(set(sides)) == 1 for sides in product("<>", repeat=5)) / 32
    estimate = median_interval([3, 1, 4, 1.5, 9])
    assert (estimate.low, estimate.median_low, estimate.median_high, estimate.high) == (1, 3, 3, 9)
    assert estimate.coverage == pytest.approx(1 - missed)
    assert estimate.n == 5


@pytest.mark.parametrize("n", [6, 8, 9, 20, 100, 101])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_median_interval_is_scipys_where_that_exists(n, level):
    values = np.random.default_rng(n).permutation(n) + 1.0
    scipys = stats.quantile_test(values, q=0, p=0.5).confidence_interval(level)
    ours = median_interval(values, level=level)
    if math.isnan(scipys.low):
        assert (ours.low, ours.high) == (1, n)
        assert ours.coverage < level
    else:
        assert (ours.low, ours.high) == (scipys.low, scipys.high)
        assert ours.coverage >= level


@given(
    st.lists(
        st.tuples(POSITIVE, POSITIVE, st.floats(0, 1), st.sampled_from(["", "low", "high"])),
        min_size=1,
        max_size=9,
    )
)
def test_censored_interval_encloses_that_of_every_completion(rows):
    low, high, completed = [], [], []
    for a, b, share, censored in rows:
        completed.append(min(a, b) + share * abs(a - b))
        low.append(0.0 if censored == "low" else min(a, b))
        high.append(math.inf if censored == "high" else max(a, b))
    wide, narrow = median_interval(low, high), median_interval(completed)
    slack = 1 + 1e-12
    assert wide.low <= narrow.low * slack
    assert narrow.high <= wide.high * slack
    assert wide.median_low <= narrow.median_low * slack
    assert narrow.median_high <= wide.median_high * slack


def test_strictly_inside():
    estimate = Estimate(1.5, 2, 1, 3, 0.9, 5)
    assert not estimate.within(1, 4)
    assert estimate.within(0.9, 3.1)
    assert not estimate.within(0.9, 3)
    assert estimate.median_within(1, 2.1)
    assert not estimate.median_within(1.5)
    assert not estimate.median_within(upper=2)
    # no bound at all holds even for what is unknown
    assert Estimate(0, math.inf, 0, math.inf, 0.9, 5).within()
    assert not Estimate(0, math.inf, 0, math.inf, 0.9, 5).within(lower=0)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((1.5, 1.5, 1.25, 1.75), "1.5 [1.25, 1.75]"),
        ((1.5, math.inf, 1.25, math.inf), "> 1.5 [1.25, ∞]"),
        ((0, 0.8, 0, 0.9), "< 0.8 [0, 0.9]"),
        ((0, math.inf, 0, math.inf), "unknown [0, ∞]"),
        ((0.5, 0.8, 0, 0.9), "0.5 to 0.8 [0, 0.9]"),
    ],
)
def test_rendering_says_what_is_censored(bounds, text):
    assert str(Estimate(*bounds, 0.9375, 5)) == text


def test_one_value_and_none():
    assert median_interval([2]).coverage == 0
    for bad in ([], [math.nan]):
        with pytest.raises(ValueError, match="at least one value"):
            median_interval(bad)
    with pytest.raises(ValueError, match="as many bounds"):
        median_interval([1, 2], [3])
