"""The interval for a median, censored values allowed. Five starts cover little, and it says so."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A median with an interval; each of its two ends is itself a bound where values are censored.

    The median is known to lie in [median_low, median_high]: one number where nothing is censored.
    """

    median_low: float
    median_high: float
    low: float
    high: float
    coverage: float
    n: int

    def within(self, lower: float = -math.inf, upper: float = math.inf) -> bool:
        """Whether the whole interval lies strictly between the bounds (infinite: no bound)."""
        return _inside(self.low, self.high, lower, upper)

    def median_within(self, lower: float = -math.inf, upper: float = math.inf) -> bool:
        """Whether the median, wherever censoring lets it be, lies strictly between the bounds."""
        return _inside(self.median_low, self.median_high, lower, upper)

    def __str__(self) -> str:
        """Render as `1.5 [1.4, 1.6]`; a censored median as `> 1.5` or `< 0.8`; one value alone."""
        return self.written(_three)

    def written(self, write: Callable[[float], str]) -> str:
        """The same, with each of its numbers as `write` puts it."""
        low, high = write(self.median_low), write(self.median_high)
        if self.median_low == self.median_high:
            middle = low
        elif math.isinf(self.median_high):
            middle = f"> {low}" if self.median_low else "unknown"
        elif self.median_low == 0:
            middle = f"< {high}"
        else:
            middle = f"{low} to {high}"
        return middle if self.n == 1 else f"{middle} [{write(self.low)}, {write(self.high)}]"


def _three(value: float) -> str:
    """Three digits, thousands separated where there are any."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    short = f"{value:.3g}"
    return f"{float(short):,.0f}" if 1000 <= abs(value) < 1e7 else short


def median_interval(
    low: ArrayLike, high: ArrayLike | None = None, *, level: float = 0.95
) -> Estimate:
    """Distribution-free interval for the median, of values or of the bounds they lie between.

    Order statistics k and n + 1 − k enclose the median with probability 1 − 2 P(Bin(n, ½) < k); the
    largest k with at least `level` is taken. For n ≤ 5 no k reaches 0.95: the range is given, and
    `coverage` says what it covers (n = 5: 0.9375). Each end is taken over everything that censoring
    allows, so it errs on the wide side only.

    >>> print(median_interval([1.0, 1.2, 1.1, 1.4, 1.3]))
    1.2 [1, 1.4]
    >>> median_interval([1.0, 1.2, 1.1, 1.4, 1.3]).coverage
    0.9375
    """
    low = np.sort(np.asarray(low, dtype=float))
    high = low if high is None else np.sort(np.asarray(high, dtype=float))
    if not low.size or low.shape != high.shape or np.isnan(low).any() or np.isnan(high).any():
        raise ValueError("median_interval needs at least one value, none NaN, and as many bounds")
    n = low.size
    k = max(1, int(stats.binom.ppf((1 - level) / 2, n, 0.5)))
    # ppf is the smallest k with P(X ≤ k) ≥ (1 − level)/2, hence P(X < k) below it, as wanted
    return Estimate(
        median_low=float(np.median(low)),
        median_high=float(np.median(high)),
        low=float(low[k - 1]),
        high=float(high[n - k]),
        coverage=float(1 - 2 * stats.binom.cdf(k - 1, n, 0.5)),
        n=n,
    )


def _inside(low: float, high: float, lower: float, upper: float) -> bool:
    return (lower == -math.inf or low > lower) and (upper == math.inf or high < upper)
