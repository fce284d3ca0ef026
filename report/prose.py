"""What a chapter's own text takes from its numbers: values to inject, and words to guard.

The sentences stand in the chapters. A number is injected with `glue` and formatted in the role,
{glue:text}`name:.2f`; a qualitative word that a number decides is guarded with `holds`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor, isfinite, log10
from numbers import Integral, Real

import myst_nb

__all__ = ["NoLongerHoldsError", "glue", "guards", "rounded"]

DIGITS = 4  # more than any text shows, fewer than another processor would change


class NoLongerHoldsError(AssertionError):
    """A sentence of a chapter is not borne out by the record."""


def rounded(value: Real, digits: int = DIGITS) -> Real:
    """The number to so many significant digits.

    >>> rounded(1.23456), rounded(466_982), rounded(0.0)
    (1.235, 467000, 0.0)
    """
    if not isfinite(value) or value == 0:
        return value
    places = digits - 1 - floor(log10(abs(value)))
    return int(round(value, places)) if isinstance(value, Integral) else float(round(value, places))


def glue(**values: Real | str) -> None:
    """Makes the values known to the text by their names, numbers to `DIGITS` significant digits.

    Raises `ValueError` for a number that is not finite: "> x" and "never" are words of the text.
    """
    for name, value in values.items():
        if isinstance(value, Real) and not isinstance(value, bool):
            if not isfinite(value):
                raise ValueError(f"{name} = {value}: only finite numbers are put into a sentence")
            value = rounded(value)
        myst_nb.glue(name, value, display=False)


def guards(profile: str) -> Callable[[str, bool], None]:
    """`holds(phrase, condition)` for a chapter: raises `NoLongerHoldsError`, naming the phrase,
    when the condition is false. In the profile `smoke`, whose runs are too short to bear out
    anything, it does nothing.

    >>> holds = guards("paper")
    >>> holds("depth 2 is faster from every start", True)
    >>> holds("depth 2 is slower", False)
    Traceback (most recent call last):
    report.prose.NoLongerHoldsError: the chapter says “depth 2 is slower”, which ...
    """

    def holds(phrase: str, condition: bool) -> None:
        if profile != "smoke" and not condition:
            raise NoLongerHoldsError(
                f"the chapter says “{phrase}”, which its numbers no longer bear out: find out what "
                "changed, then mend the record or rewrite the sentence"
            )

    return holds
