"""A number as a page writes it, alone or with the others of its column."""

import re
from collections.abc import Sequence
from math import floor, isfinite, isinf, isnan, log10
from numbers import Integral, Real

import numpy as np
import pandas as pd

from accel_core.intervals import Estimate

__all__ = ["number", "together", "words"]

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: object, digits: int = 3, places: int | None = None) -> str:
    """A number or an `Estimate` as a page writes it, to so many significant digits, or `places`
    after the point; text as it is.

    >>> number(1.7), number(466_982.3), number(5e-5), number(0.0), number(np.inf)
    ('1.7', '467,000', '5 × 10⁻⁵', '0', '∞')
    >>> number(500.0, 2), number(12_345), number("plain")  # a count is exact
    ('500', '12,345', 'plain')
    >>> number(Estimate(1.7, 1.7, 1.68, 1.732, 0.94, 5))  # all to the same place
    '1.70 [1.68, 1.73]'
    >>> number(Estimate(2.1, np.inf, 1.9, np.inf, 0.94, 5))  # a bound, where runs are censored
    '> 2.10 [1.90, ∞]'
    """
    if isinstance(value, Estimate):
        return _estimate(value, digits, places)
    if isinstance(value, Integral) and not isinstance(value, bool | np.bool_):
        return f"{int(value):,}"
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        return "–" if value is None or value is pd.NA else str(value)
    return _real(float(value), digits, places)


def together(values: Sequence, digits: int = 3) -> list[str]:
    """A column's values written alike: as many significant digits in each as one of them needs,
    with powers of ten in all where one of them takes one.

    >>> together([0.43, 0.7, 1.1]), together([1e-3, 5.36e-4, 0.0])
    (['0.43', '0.70', '1.1'], ['1.00 × 10⁻³', '5.36 × 10⁻⁴', '0'])
    >>> together([16_000.0, 47_712.0, np.inf]), together([0.5, "none"])
    (['16,000', '47,700', '∞'], ['0.5', 'none'])
    """
    floats = [isinstance(v, float | np.floating) and isfinite(v) and v != 0 for v in values]
    sizes = [abs(value) for value, is_float in zip(values, floats, strict=True) if is_float]
    powers = bool(sizes) and (min(sizes) < 1e-3 or max(sizes) >= 1e8)
    # of the mantissas, as many digits after the point as one needs
    mantissas = (f"{size:.{digits - 1}e}".split("e")[0].rstrip("0") for size in sizes)
    after = max((len(mantissa.partition(".")[2]) for mantissa in mantissas), default=0)
    whole = all(float(size).is_integer() for size in sizes)

    def write(value):
        if powers:
            mantissa, exponent = f"{value:.{after}e}".split("e")
            return f"{mantissa} × 10{_raised(exponent)}".replace("-", "−")
        value = round(value, digits - 1 - floor(log10(abs(value))))
        return _real(value, digits, 0 if whole else max(after - floor(log10(abs(value))), 0))

    pairs = zip(values, floats, strict=True)
    return [write(value) if is_float else number(value, digits) for value, is_float in pairs]


def words(text: str) -> str:
    """A name or a finding as a reader reads it: no underscores, and powers of ten.

    >>> words("flow_fitted"), words("at the rate 5e-05"), words("831 [475, 4.13e+03]")
    ('flow fitted', 'at the rate 5 × 10⁻⁵', '831 [475, 4.13 × 10³]')
    """
    text = re.sub(r"(?<=\d)e([-+]\d+)\b", lambda it: f" × 10{_raised(it[1])}", text)
    return re.sub(r"(?<=\d)%", " %", text).replace("_", " ")


def _raised(exponent: str) -> str:
    return str(int(exponent)).translate(SUPERSCRIPTS)


def _real(value: float, digits: int, places: int | None) -> str:
    """`places`: digits after the point, kept also where they are 0."""
    if isnan(value):
        return "–"
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if places is None:
        return together([value], digits)[0]
    return f"{value:,.{places}f}".replace("-", "−")


def _estimate(value: Estimate, digits: int, places: int | None) -> str:
    ends = (value.median_low, value.median_high, value.low, value.high)
    if isinf(min(ends)):  # every run diverged
        return "∞"
    largest = max((abs(end) for end in ends if isfinite(end) and end), default=1.0)
    if places is None and largest >= 1e-3:
        places = digits - 1 - floor(log10(largest))
    if places is None:
        return value.written(lambda end: _real(end, digits, None))
    return value.written(
        lambda end: _real(round(end, places) if isfinite(end) else end, digits, max(places, 0))
    )
