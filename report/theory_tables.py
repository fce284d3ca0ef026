"""What the chapters of theory and of the data say in numbers: sentences, tables, powers of ten."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accel_core.problem import Problem
from accel_core.theory import layers, orders, preconditioning, two_points
from accel_core.theory.orders import GradientOf, Order

LANDING = 10.0  #: A gain above this is a lucky landing: no derived factor is near it for p up to 5.
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
Plan = Mapping[float, tuple[Sequence[float], float]]  # p ↦ (ratios y_1/y_2, ε).


# ---- words ---------------------------------------------------------------------------------------


def power_of_ten(value: float) -> str:
    """Return a positive number as a page writes it, two digits.

    >>> power_of_ten(5.04e9)
    '5.0 × 10⁹'
    """
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def decade_above(value: float) -> str:
    """Return the power of ten above a rounding error, whose digits differ by machine.

    >>> decade_above(3e-10)
    '10⁻⁹'
    """
    return f"10{str(math.ceil(math.log10(value))).translate(SUPERSCRIPTS)}"


def listed(items: Iterable[object]) -> str:
    """Return the items in a row; 'none' of none.

    >>> listed([2, 3, 8])
    '2, 3 and 8'
    """
    words = [f"{it:g}" if isinstance(it, float) else str(it) for it in items]
    if len(words) < 2:
        return words[0] if words else "none"
    return f"{', '.join(words[:-1])} and {words[-1]}"


def with_interval(order: Order, digits: int = 3) -> str:
    """Return an order with its interval, as a sentence has it.

    >>> with_interval(Order(1.0, 0.9, 1.1), 1)
    '1.0 (95 %: 0.9 to 1.1)'
    """
    exponent, low, high = (f"{it:.{digits}f}" for it in order)
    return f"{exponent} (95 %: {low} to {high})"


# ---- the misprinted condition --------------------------------------------------------------------


def misprinted_starts(
    draws: int, rng: np.random.Generator
) -> Iterator[tuple[list[layers.Matrix], GradientOf]]:
    """Draw two square layers that meet the misprinted condition, and a regression's gradient.

    W_2 = QW_1 with Q orthogonal: W_2ᵀW_2 = W_1ᵀW_1, which is not W_1W_1ᵀ.
    """
    for _ in range(draws):
        first, target = rng.standard_normal((2, 3, 3))
        turned = np.linalg.qr(rng.standard_normal((3, 3)))[0] @ first
        X = rng.standard_normal((30, 3))
        yield [first, turned], Problem(X, X @ target).gradient


def misprint_errors(draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how far Theorem 1's equation is from the true velocity there, over the latter."""
    found = []
    for weights, gradient in misprinted_starts(draws, rng):
        matrix = layers.end_to_end(weights)
        velocity = layers.end_to_end_velocity(weights, gradient(matrix))
        closed = -preconditioning.end_to_end_field(matrix, gradient(matrix), 2)
        found.append(np.linalg.norm(closed - velocity) / np.linalg.norm(velocity))
    return np.array(found)


def misprint_departures(draws: int, rng: np.random.Generator, time: float) -> NDArray[np.float64]:
    """Return how far the misprinted condition is off after ``time`` of flow, over ‖W_1ᵀW_1‖."""
    found = []
    for weights, gradient in misprinted_starts(draws, rng):
        later = layers.gradient_flow(weights, gradient, np.array([0.0, time]))[-1]
        (off,) = layers.misprinted_imbalance(later)
        found.append(np.linalg.norm(off) / np.linalg.norm(later[0].T @ later[0]))
    return np.array(found)


# ---- two points ----------------------------------------------------------------------------------


def plan_table(plan: Plan) -> pd.DataFrame:
    """Return what was scanned: a row for every p with its ratios y_1/y_2 and ε."""
    ratios, tolerances = zip(*plan.values(), strict=True)
    return pd.DataFrame(
        {"y₁/y₂": [listed(it) for it in ratios], "ε": tolerances},
        index=pd.Index([f"{p:g}" for p in plan], name="p"),
    )


def predicted(plan: Plan, power: float, depth: int) -> NDArray[np.float64]:
    """Return crawl plus approach at the largest rates without overshoot, for the plan's ratios."""
    times = []
    for ratio in plan[power][0]:
        problem = two_points.TwoPoints(ratio, power, tolerance=plan[power][1])
        rate = two_points.monotone_rate(problem, depth)
        times.append(
            two_points.crawl(problem, depth, rate) + two_points.approach(problem, depth, rate)
        )
    return np.round(times, 6)  # equal times are ties, whatever their last digits


def exponents(scans: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the fitted exponents in y_1/y_2 beside the derived ones, a row for every (p, N)."""
    rows = []
    for (p, depth), runs in scans.groupby(["p", "depth"]):
        derived = max(p - 2, 1 - 2 / depth if depth > 2 else 0)
        finite = orders.robust_order(plan[p][0], predicted(plan, p, depth)).exponent
        edge = orders.robust_order(runs.ratio, runs.iterations)
        best = orders.robust_order(runs.ratio, runs.best_iterations)
        rows.append(
            {"p": p, "N": depth, "derived": derived, "finite": finite, "edge": edge, "best": best}
        )
    return pd.DataFrame(rows).set_index(["p", "N"])


def gains(scans: pd.DataFrame) -> pd.DataFrame:
    """Return the scans of depth 2 and more with each run's gain over plain descent.

    ``gain`` at the largest stable rates, ``best_gain`` at the best ones, ``rate_gain``: the
    quotient of the rates of coordinate 2, what eq-effective-rate predicts.
    """
    keys = ["p", "ratio", "angle"]
    both = scans[scans.depth > 1].merge(scans[scans.depth == 1], on=keys, suffixes=("", "_plain"))
    return both.assign(
        gain=both.iterations_plain / both.iterations,
        best_gain=both.best_iterations_plain / both.best_iterations,
        rate_gain=both.largest * both.ratio ** (2 - 2 / both.depth) / both.largest_plain,
    )


def calm_gain(ratio: float, power: float, tolerance: float, depth: int) -> float:
    """Return the gain at the largest rates without overshoot, from the diagonal."""
    problem = two_points.TwoPoints(ratio, power, tolerance=tolerance)
    plain, deep = (
        two_points.iterations(problem, n, [two_points.monotone_rate(problem, n)])[0]
        for n in (1, depth)
    )
    return float(plain / deep)


def gain_table(found: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the gains at the largest ratio of each p: over the angles, predicted, without
    overshoot, and at best rates. c(p, N) is a gain for p > 2 only: NaN at p = 2.
    """
    rows = []
    for (p, depth), runs in found.groupby(["p", "depth"]):
        ratio, (_, tolerance) = max(plan[p][0]), plan[p]
        runs = runs[runs.ratio == ratio]
        rows.append(
            {
                "p": p,
                "N": depth,
                "y₁/y₂": f"{ratio:g}",
                "median": runs.gain.median(),
                "least": runs.gain.min(),
                "most": runs.gain.max(),
                "by rates": runs.rate_gain.median(),
                "no overshoot": calm_gain(ratio, p, tolerance, depth),
                "c(p, N)": two_points.monotone_constant(p, depth) if p > 2 else math.nan,
                "best": runs.best_gain.median(),
            }
        )
    return pd.DataFrame(rows).set_index(["p", "N"])


def shown_gain(value: float | str) -> str:
    """Return a gain as a table has it: two decimals, 'landing' above ``LANDING``, '–' for none."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "–"
    return "landing" if value > LANDING else f"{value:.2f}"


def gain_range(found: pd.DataFrame, power: float, depth: int) -> tuple[float, float, int, int]:
    """Return the least and the most gain over ratios and angles, landings left out; how many runs
    those were, and of how many.
    """
    values = found[(found.p == power) & (found.depth == depth)].gain
    calm = values[values <= LANDING]
    return float(calm.min()), float(calm.max()), len(values) - len(calm), len(values)


def below_one(table: pd.DataFrame, column: str) -> str:
    """Return which depths have a gain below 1 in a column of ``gain_table``, by p."""
    found: dict[float, list[int]] = {}
    for (p, depth), gain in table[column].items():
        if gain < 1:
            found.setdefault(p, []).append(depth)
    return (
        "; ".join(
            f"{'depths' if len(depths) > 1 else 'depth'} {listed(depths)} at p = {p:g}"
            for p, depths in found.items()
        )
        or "none"
    )


def largest_gains(table: pd.DataFrame) -> str:
    """Return for every p which depth has the largest median gain."""
    best = table["median"].groupby("p").idxmax()
    return listed(f"{depth} at p = {p:g}" for p, depth in best)


def medians_that_landed(found: pd.DataFrame) -> str:
    """Return the medians over the angles that are lucky landings themselves."""
    medians = found.groupby(["p", "ratio", "depth"]).gain.median()
    landed = medians[medians > LANDING]
    return listed(f"depth {n} at p = {p:g}, ratio {r:g}" for p, r, n in landed.index)


def slopes(table: pd.DataFrame, power: float) -> str:
    """Return the range over the depths of the exponents fitted at the edge of stability."""
    fitted = [order.exponent for order in table.loc[power].edge]
    return f"{min(fitted):.2f} to {max(fitted):.2f}"


def definitions(
    ratios: Sequence[float], starts: Sequence[float], tolerances: Sequence[float], points: int = 100
) -> pd.DataFrame:
    """Return the gain of depth 2 for ℓ4 from the diagonal, for other starts δ and targets ε.

    A row for every δ, ε and ratio; ``rate_gain`` is what the rates predict, as in ``gains``.
    """
    rows = []
    for start, tolerance, ratio in itertools.product(starts, tolerances, ratios):
        # plain descent's lowest rates need more than the usual horizon at the largest ratios
        problem = two_points.TwoPoints(ratio, 4.0, start, 45.0, tolerance, horizon=20_000_000)
        one, two = (two_points.stable_rates(problem, n, points) for n in (1, 2))
        row = {"δ": start, "ε": tolerance, "ratio": ratio, "gain": one.iterations / two.iterations}
        rows.append(row | {"rate_gain": two.largest * ratio / one.largest})
    return pd.DataFrame(rows)


def definitions_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return the gains of ``definitions``, a column for every ratio."""
    table = found.pivot(index=["δ", "ε"], columns="ratio", values="gain").map(shown_gain)
    return table.rename(columns=lambda ratio: f"ratio {ratio:g}").rename_axis(columns=None)


def definitions_verdict(found: pd.DataFrame) -> str:
    """Return what ``definitions`` says: how far the gain wanders, and what it gains end to end."""
    calm = found[found.gain <= LANDING]
    off = (calm.gain / calm.rate_gain - 1).abs().max()
    table = calm.pivot(index=["δ", "ε"], columns="ratio", values="gain")
    first, last = min(found.ratio), max(found.ratio)
    ends = (table[last] / table[first]).dropna()
    return (
        f"{len(found) - len(calm)} of the {len(found)} gains are landings. The others wander "
        f"between {calm.gain.min():.2f} and {calm.gain.max():.2f}, within {off:.0%} of what "
        f"the largest stable rates predict. From ratio {first:g} to {last:g} the gain is "
        f"multiplied by {ends.min():.2f} to {ends.max():.2f} ({len(ends)} of {len(table)} rows, "
        "those without a landing at either end); an exponent of 1 would multiply it by "
        f"{last / first:.1f}."
    )


# ---- finite rates --------------------------------------------------------------------------------


def order_range(fits: Iterable[Order]) -> str:
    """Return between what the exponents of several fits lie.

    >>> order_range([Order(1.0, 0.9, 1.1), Order(1.2, 1.1, 1.3)])
    '1.000 to 1.200'
    """
    found = [fit.exponent for fit in fits]
    return f"{min(found):.3f} to {max(found):.3f}"


def linear_verdict(fits: Mapping[int, Order]) -> str:
    """Return which depths' fitted orders are 1 within their intervals, and which are not."""
    words = []
    for depth, fit in fits.items():
        where = "contains 1" if fit.low <= 1 <= fit.high else "excludes 1"
        words.append(f"depth {depth} {with_interval(fit)}, which {where}")
    return "; ".join(words)
