"""Run tables, tuning and speed-ups: values derived by hand, and what must hold for any runs."""

import math

import numpy as np
import pandas as pd
import pytest

from accel_core.curves import arrival
from accel_core.initializers import IdentityOffset
from accel_core.problem import Problem
from accel_core.rules import Momentum
from accel_core.statistics import MODEL, gain_at_budget, run_table, speedup, tune
from accel_core.training import Run, train

# --- tuning

BUDGET = 1000


def run(depth, rate, seed, crossing, final=0.1, **columns):
    """A run that is at distance 1 at `crossing` ('diverged': nowhere), at `final` at the budget.

    Recorded at `crossing` itself: the crossing of target 1 is exact.
    """
    diverged = crossing == "diverged"
    met = not diverged and crossing < BUDGET
    at = not diverged and crossing == BUDGET
    iteration = [0, crossing, BUDGET] if met else [0, BUDGET]
    distance = [9, 1, final] if met else [9, 1 if at else final]
    if diverged:  # and met the target before
        iteration, distance = [0, 5], [9, 0.5]
    made = {
        "key": f"{depth}-{rate}-{seed}", "problem": "ethanol", "p": 2.0, "depth": depth,
        "width": 1, "bias": False, "start": "NearZero(std=0.01)", "seed": seed,
        "rule": "GradientDescent()", "rate": rate, "weight_decay": 0.0, "budget": BUDGET,
        "status": "diverged" if diverged else "completed",
        "diverged_at": 7 if diverged else pd.NA, "iteration": np.array(iteration),
        "distance": np.array(distance, float), "final": math.inf if diverged else distance[-1],
    }  # fmt: skip
    return made | columns


def frame(times, depth=1, finals=None, **columns):
    """`times`: rate → crossing of target 1, one per seed; `finals` alike (default 0.1)."""
    rows = []
    for rate, crossings in times.items():
        for seed, crossing in enumerate(crossings):
            final = finals[rate][seed] if finals else 0.1 if crossing != math.inf else 2.0
            rows.append(run(depth, rate, seed, crossing, final, **columns))
    return pd.DataFrame(rows)


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
    one, two = {0.1: [50], 0.2: [40]}, {0.1: [50], 0.2: [60]}
    parts = frame(one), frame(two, depth=2), frame(two, depth=2, start="B"), frame(one, p=4.0)
    tuned = tune(pd.concat(parts), target=1)
    expected = [[2, 1, 0.2], [2, 2, 0.1], [2, 2, 0.1], [4, 1, 0.2]]
    assert tuned[["p", "depth", "rate"]].to_numpy().tolist() == expected


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


def oscillating(depth, rate, late):
    """At or below 1 from iteration 100 on, but for a burst at 500; with `late`, at the end too."""
    curve = {0: 9.0, 100: 0.5, 500: 3.0, 800: 0.5, BUDGET: 2.0 if late else 0.4}
    return run(depth, rate, 0, 50) | {
        "iteration": np.array(list(curve)),
        "distance": np.array(list(curve.values())),
        "final": curve[BUDGET],
    }


def test_an_oscillating_curve_is_no_arrival():
    """By the first crossing the bursting rate wins; it arrives later than the calm one, or never"""
    for late in (False, True):
        runs = pd.DataFrame([run(1, 0.1, 0, 300), oscillating(1, 0.2, late)])
        assert tune(runs, target=1).rate[0] == 0.2
        tuned = tune(runs, target=1, reach=arrival).iloc[0]
        assert (tuned.rate, tuned.criterion) == (0.1, 300)
    runs = pd.DataFrame([run(1, 0.1, 0, 300), oscillating(2, 0.1, True)])
    assert only(speedup(runs, baseline={"depth": 1}, target=1)).speedup.low > 3
    row = only(speedup(runs, baseline={"depth": 1}, target=1, reach=arrival))
    assert row.censored == 1
    assert (row.speedup.low, row.speedup.high) == (0, pytest.approx(0.3))


# --- distances below what the optimum is known to


def well_conditioned():
    """A problem that every model solves to round-off, at many rates."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((200, 3))
    return Problem(X, X @ [1.0, -0.5, 0.25] + 0.1 * rng.standard_normal(200))


def test_at_the_floor_the_one_that_gets_there_first_wins():
    problem = well_conditioned()
    rates = (0.01, 0.02, 0.05, 0.1, 0.2)
    start = IdentityOffset()
    runs = [Run(n, start=start, seed=s, rate=r) for n in (1, 2, 3) for s in (0, 1) for r in rates]
    table = run_table(problem, train(problem, runs, 10_000))
    floor = problem.optimum().error
    assert (table.final.abs() < floor).mean() > 0.8  # ties, in which round-off would decide
    tuned = tune(table)
    assert (tuned.criterion == floor).all()
    # plain descent on a near-isotropic quadratic: the larger the rate, the sooner
    assert tuned.rate[0] == 0.2 and tuned.start_rate[0] == {0: 0.2, 1: 0.2}
    for _, model in tuned.iterrows():
        sooner = tune(table[table.depth == model.depth], target=floor)
        assert sooner.rate[0] == model.rate
    gains = gain_at_budget(table, baseline={"depth": 1})
    assert [str(gain) for gain in gains.speedup] == ["1 [1, 1]"] * 2  # ties, not noise's ratio


def test_the_floor_is_of_the_size_of_what_is_left_at_the_optimum():
    """Not far above it either: distances of a few times the floor are still told apart."""
    for p in (2, 3.0, 4):
        problem = Problem(well_conditioned().X, well_conditioned().y, p)
        (result,) = train(problem, [Run(rate=0.1)], 100_000)
        optimum = problem.optimum()
        left = np.abs(result.loss[-20:] - optimum.loss).max()
        assert left <= optimum.error < 1e-13 * optimum.loss


# --- the run table


def test_the_run_table_says_what_was_run_and_how_it_ended():
    problem = well_conditioned()
    runs = [Run(2, 3, rule=Momentum(0.5), rate=0.1, seed=7), Run(rate=5.0)]
    table = run_table(problem, train(problem, runs, 100), "mine")
    assert set(MODEL) <= set(table)
    kept, lost = table.itertuples()
    assert (kept.problem, kept.p, kept.depth, kept.width, kept.seed) == ("mine", 2.0, 2, 3, 7)
    assert (kept.start, kept.rule) == ("NearZero(std=0.01)", "Momentum(beta=0.5, nesterov=False)")
    assert (kept.status, lost.status, lost.final) == ("completed", "diverged", math.inf)
    assert kept.final == kept.distance[-1] and kept.iteration[-1] == kept.budget == 100
    assert lost.diverged_at > lost.iteration[-1] and pd.isna(kept.diverged_at)
    assert (kept.schedule, kept.clip) == ("Constant()", math.inf)
    clipped = run_table(problem, train(problem, [Run(clip=c, rate=0.1) for c in (1.0, 2.0)], 9))
    assert len(tune(clipped)) == 2  # not two runs of one model


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
