"""Crossings, tuning and speed-ups: values derived by hand, and what must hold for any curve."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_core.statistics import (
    deviation_dex,
    distance_at,
    gain_at_budget,
    iterations_to,
    speedup,
    speedups,
    tune,
)

# --- crossings

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


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=20), st.floats(1e-6, 1e6))
def test_crossing_is_bracketed_and_later_for_smaller_targets(distance, target):
    iteration = np.arange(len(distance))
    crossing = iterations_to(iteration, distance, target)
    if math.isinf(crossing.iterations):
        assert min(distance) > target
    else:
        slack = 1e-9 * len(distance)
        assert crossing.before - slack <= crossing.iterations <= crossing.after + slack
    later = iterations_to(iteration, distance, target / 2).iterations
    assert later >= crossing.iterations * (1 - 1e-12)


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


# --- tuning

BUDGET = 1000


def run(depth, rate, seed, crossing, final=0.1, **columns):
    """A run that is at distance 1 at `crossing` ('diverged': nowhere), at `final` at the budget.

    Recorded at `crossing` itself: the crossing of target 1 is exact.
    """
    diverged = crossing == "diverged"
    reached = not diverged and crossing <= BUDGET
    iteration = [0, crossing, BUDGET] if reached and crossing < BUDGET else [0, BUDGET]
    distance = [9, 1, final] if reached and crossing < BUDGET else [9, 1 if reached else final]
    return {
        "key": f"{depth}-{rate}-{seed}",
        "problem": "ethanol",
        "p": 2.0,
        "depth": depth,
        "width": 1,
        "bias": False,
        "start": "NearZero(std=0.01)",
        "seed": seed,
        "rule": "GradientDescent()",
        "rate": rate,
        "weight_decay": 0.0,
        "budget": BUDGET,
        "status": "diverged" if diverged else "completed",
        "diverged_at": 7 if diverged else pd.NA,
        # a diverged run has met the target before
        "iteration": np.array([0, 5] if diverged else iteration),
        "distance": np.array([9.0, 0.5] if diverged else distance, dtype=float),
        "final": math.inf if diverged else float(distance[-1]),
    } | columns


def frame(times, depth=1, finals=None, **columns):
    """`times`: rate → crossing of target 1, one per seed; `finals` alike (default 0.1)."""
    return pd.DataFrame(
        [
            run(
                depth,
                rate,
                seed,
                crossing,
                finals[rate][seed] if finals else 0.1 if crossing != math.inf else 2.0,
                **columns,
            )
            for rate, crossings in times.items()
            for seed, crossing in enumerate(crossings)
        ]
    )


def test_one_rate_per_model_by_the_median_over_starts():
    # medians 40, 30, diverged; start 2 alone would take 0.1
    table = frame({0.1: [50, 40, 10], 0.2: [30, 20, 90], 0.3: ["diverged"] * 2 + [5]})
    tuned = tune(table, target=1).iloc[0]
    assert tuned.rate == 0.2
    assert tuned.criterion == 30
    assert tuned.by_start == {0: 30, 1: 20, 2: 90}
    assert tuned.start_rate == {0: 0.2, 1: 0.2, 2: 0.3}
    assert tuned.start_criterion == {0: 30, 1: 20, 2: 5}
    assert (tuned.edge, tuned.ties, tuned.diverged, tuned.diverged_next_up) == ("", (), 0, 2)


def test_a_diverged_run_counts_as_never_even_if_it_met_the_target_before():
    tuned = tune(frame({0.1: [50] * 3, 0.2: ["diverged"] * 3}), target=1).iloc[0]
    assert (tuned.rate, tuned.criterion) == (0.1, 50)
    tuned = tune(frame({0.1: [50] * 3, 0.2: ["diverged"] * 3})).iloc[0]
    assert (tuned.rate, tuned.criterion) == (0.1, 0.1)
    stated = frame({0.1: [50] * 3, 0.2: ["diverged"] * 3}).assign(final=[0.1] * 3 + [1e-3] * 3)
    assert tune(stated).iloc[0].rate == 0.1
    # one start of three does not move the median
    tuned = tune(frame({0.1: [50] * 3, 0.2: ["diverged", 20, 30]}), target=1).iloc[0]
    assert (tuned.rate, tuned.criterion, tuned.diverged) == (0.2, 30, 1)
    assert tuned.by_start[0] == math.inf


def test_the_criterion_decides_the_rate():
    """Rate 0.1 is lower at the budget, rate 0.2 is sooner at the target."""
    table = frame({0.1: [50], 0.2: [20]}, finals={0.1: [0.01], 0.2: [0.3]})
    assert tune(table).iloc[0].rate == 0.1
    assert tune(table, target=1).iloc[0].rate == 0.2


def test_edges_of_the_grid_are_marked():
    times = {0.1: [50], 0.2: [40], 0.3: [60]}
    assert tune(frame(times), target=1).edge.tolist() == [""]
    assert tune(frame({0.1: [5]} | {0.2: [40]}), target=1).edge.tolist() == ["smallest"]
    assert tune(frame({0.1: [50]} | {0.2: [40]}), target=1).edge.tolist() == ["largest"]
    assert tune(frame({0.1: [50]}), target=1).edge.tolist() == ["only"]


def test_ties_are_named_and_go_to_the_lower_end_then_to_the_smaller_rate():
    finals = {0.1: [0.3], 0.2: [0.2], 0.3: [0.2], 0.4: [0.1]}
    tuned = tune(frame({0.1: [40], 0.2: [40], 0.3: [40], 0.4: [50]}, finals=finals), target=1)
    assert tuned.rate[0] == 0.2
    assert tuned.ties[0] == (0.1, 0.3)
    # nothing reaches the target: the lowest end decides, and that is no tie
    never = frame({0.1: [math.inf], 0.2: [math.inf]}, finals={0.1: [3], 0.2: [2]})
    tuned = tune(never, target=1).iloc[0]
    assert (tuned.rate, tuned.criterion, tuned.ties) == (0.2, math.inf, ())


def test_models_are_tuned_apart_and_none_is_lost():
    table = pd.concat(
        [
            frame({0.1: [50], 0.2: [40]}),
            frame({0.1: [50], 0.2: [60]}, depth=2),
            frame({0.1: [50], 0.2: [60]}, depth=2, start="Balanced()"),
            frame({0.1: [50], 0.2: [40]}, p=4.0),
        ]
    )
    tuned = tune(table, target=1)
    assert tuned[["p", "depth", "rate"]].to_numpy().tolist() == [
        [2, 1, 0.2],
        [2, 2, 0.1],
        [2, 2, 0.1],
        [4, 1, 0.2],
    ]


def test_the_order_of_rows_means_nothing():
    table = frame({0.1: [50, 40, 10], 0.2: [30, 20, 90], 0.3: [70, "diverged", 5]})
    shuffled = table.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(tune(table, target=1), tune(shuffled, target=1))


def test_incomplete_and_repeated_grids_are_refused():
    table = frame({0.1: [50, 40], 0.2: [30, 20]})
    with pytest.raises(ValueError, match=r"not run, \(rate, seed\) = \[\(0.2, 1\)\]"):
        tune(table[:-1])
    with pytest.raises(ValueError, match=r"depth=1.*occurs twice"):
        tune(pd.concat([table, table[:1]]))
    with pytest.raises(ValueError, match="empty"):
        tune(table[:0])
    table.loc[1, "final"] = math.nan
    with pytest.raises(ValueError, match=r"1-0.1-1.*NaN"):
        tune(table)


# --- speed-ups


def pair(base, model):
    return pd.concat([frame(base), frame(model, depth=2)])


def only(table):
    assert len(table) == 1
    return table.iloc[0]


def test_speedup_is_the_median_of_paired_ratios():
    # ratios 2, 4, 1.5; the ratio of the medians would be 90/30 = 3
    table = pair({0.1: [60, 120, 90]}, {0.1: [30, 30, 60]})
    row = only(speedup(table, baseline={"depth": 1}, target=1))
    estimate = row.speedup
    assert (estimate.low, estimate.median_low, estimate.high) == pytest.approx((1.5, 2, 4))
    assert estimate.coverage == pytest.approx(0.75)
    assert (row.depth, row.target, row.value, row.baseline_value) == (2, 1, 30, 90)
    assert row.censored == row.baseline_censored == 0


def test_each_model_is_tuned_for_the_target():
    table = pair({0.1: [60], 0.2: [40]}, {0.1: [10], 0.2: [80]})
    row = only(speedup(table, baseline={"depth": 1}, target=1))
    assert (row.rate, row.baseline_rate) == (0.1, 0.2)
    assert (row.edge, row.baseline_edge) == ("smallest", "largest")
    assert row.speedup.median_low == pytest.approx(4)


def test_per_start_tunes_anew_for_each_start():
    table = pair({0.1: [60, 80, 80], 0.2: [70, 20, 90]}, {0.1: [20, 20, 20]})
    row = only(speedup(table, baseline={"depth": 1}, target=1, per_start=True))
    assert row.baseline_rate == {0: 0.1, 1: 0.2, 2: 0.1}
    assert [low for low, _ in row.by_start] == pytest.approx([3, 1, 4])


def test_censored_runs_stay_as_bounds():
    never = math.inf
    # known 2; model never: below 60/1000; baseline never: above 1000/20; both: anything
    table = pair({0.1: [60, 60, never, never]}, {0.1: [30, never, 20, never]})
    row = only(speedup(table, baseline={"depth": 1}, target=1))
    assert np.array(row.by_start) == pytest.approx(
        np.array([(2, 2), (0, 0.06), (50, math.inf), (0, math.inf)])
    )
    assert (row.censored, row.baseline_censored) == (2, 2)
    assert (row.speedup.low, row.speedup.high) == (0, math.inf)
    row = only(speedup(pair({0.1: [never] * 3}, {0.1: [30] * 3}), baseline={"depth": 1}, target=1))
    assert str(row.speedup) == "> 33.3 [33.3, ∞]"
    row = only(speedup(pair({0.1: [30] * 3}, {0.1: [never] * 3}), baseline={"depth": 1}, target=1))
    assert str(row.speedup) == "< 0.03 [0, 0.03]"


def test_a_diverged_start_is_a_bound_too():
    table = pair({0.1: [60, 60, 60]}, {0.1: ["diverged", 30, 30], 0.2: ["diverged"] * 3})
    row = only(speedup(table, baseline={"depth": 1}, target=1))
    assert np.array(row.by_start) == pytest.approx(np.array([(0, 0.06), (2, 2), (2, 2)]))
    assert row.speedup.low == 0


def test_gain_at_the_budget_is_the_ratio_of_distances():
    base = frame({0.1: [50] * 3}, finals={0.1: [0.4, 0.6, 0.8]})
    deep = frame({0.1: [50, 50, "diverged"]}, depth=2, finals={0.1: [0.2, 0.2, 0]})
    row = only(gain_at_budget(pd.concat([base, deep]), baseline={"depth": 1}))
    assert np.array(row.by_start) == pytest.approx(np.array([(2, 2), (3, 3), (0, 0)]))
    assert "target" not in row


def test_a_distance_rounded_to_zero_or_below_is_tiny_not_an_error():
    base = frame({0.1: [50] * 2}, finals={0.1: [0.4, 0.4]})
    deep = frame({0.1: [50] * 2}, depth=2, finals={0.1: [0.0, -1e-17]})
    row = only(gain_at_budget(pd.concat([base, deep]), baseline={"depth": 1}))
    assert 1e300 < row.speedup.low <= row.speedup.high < math.inf


@given(st.lists(st.floats(2, 900), min_size=1, max_size=6), st.floats(0.01, 1))
def test_a_model_k_times_as_fast_has_speedup_k(times, share):
    faster = [max(time * share, 1.5) for time in times]
    row = only(speedup(pair({0.1: times}, {0.1: faster}), baseline={"depth": 1}, target=1)).speedup
    ratios = [a / b for a, b in zip(times, faster, strict=True)]
    assert row.median_low == pytest.approx(np.median(ratios))
    swapped = only(
        speedup(pair({0.1: times}, {0.1: faster}), baseline={"depth": 2}, target=1)
    ).speedup
    assert swapped.high == pytest.approx(1 / row.low)


def test_several_targets_are_stacked():
    table = pair({0.1: [60]}, {0.1: [30]})
    stacked = speedups(table, baseline={"depth": 1}, targets=[2, 1, 0.01])
    assert stacked.target.tolist() == [2, 1, 0.01]
    assert stacked.censored.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (pair({0.1: [6]}, {0.1: [3]}), {"baseline": {"depth": 3}}, "selects 0 of 2"),
        (pair({0.1: [6]}, {0.1: [3]}), {"baseline": {"width": 1}}, "selects 2 of 2"),
        (pair({0.1: [6]}, {0.1: [3]}), {"baseline": {"dpeth": 1}}, "allowed are problem"),
        (pair({0.1: [6]}, {0.1: [3]}), {"baseline": {}}, "allowed are problem"),
        (pair({0.1: [6, 7]}, {0.1: [3]}), {"baseline": {"depth": 1}}, r"starts \[0\] against"),
        (
            pair({0.1: [6]}, {0.1: [3]}),
            {"baseline": {"depth": 1}, "target": 10},
            "met at the start",
        ),
        (
            pd.concat([frame({0.1: [6]}), frame({0.1: [6]}, depth=2, p=4.0)]),
            {"baseline": {"depth": 1}},
            r"p = \[.*2.0.*4.0.*\]: models are compared on one",
        ),
    ],
)
def test_unpaired_or_ambiguous_comparisons_are_refused(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        speedup(table, **({"target": 1} | arguments))
