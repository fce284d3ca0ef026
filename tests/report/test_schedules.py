"""The experiment on schedules: what its tables are made of, and the figure of why."""

import numpy as np
import pandas as pd
import pytest

from accel_core.curves import arrival
from accel_core.statistics import tune
from accel_core.training import Run, train
from report import figures, why
from report.claims import schedules as claims
from report.experiments import ProblemSpec, frame, schedules, steepness


def test_the_figures_rates_are_the_tuned_ones_of_the_papers_grid():
    tuned = tune(frame("tuned_rates")).set_index(["p", "depth"]).rate
    for p, rates in steepness.TUNED.items():
        assert tuple(tuned[p]) == rates


def test_the_why_table_shows_the_cap_and_how_the_deep_network_escapes_it():
    table = why.why_table().set_index(["p", "depth"])
    limit, l2 = table.limit, table.limit[2.0, 1]
    assert np.ptp(l2) < 1e-12 * l2[0]  # ℓ2: one steepness for good
    assert limit[4.0, 1][-1] > 10 * limit[4.0, 1][0]  # ℓ4: gone at the end
    assert np.allclose(table.along[4.0, 1], 5e-4, rtol=1e-5)
    assert np.all(table.across[4.0, 2][:40] < 4e-4) and table.along[4.0, 2][-1] > 5e-4
    # depth 3 at ℓ2 rides the limit across W_e and goes past it along W_e
    assert table.across[2.0, 3][-1] == pytest.approx(l2[0], rel=0.01)
    assert table.along[2.0, 3][-1] > 10 * l2[0]


def test_the_effective_rates_are_those_of_a_step():
    """One step of gradient descent, at a point that is not balanced, is a step with them."""
    problem, rate = ProblemSpec("ethanol", 2.0).build(), 1e-9
    run = Run(3, rate=rate, seed=3)
    result = train(problem, run, 1, record_at=[0, 1], states_at=[0])
    W, moved = result.end_to_end[0, 0], np.diff(result.end_to_end[:, 0], axis=0)[0]
    across, along = steepness._effective(rate, result.states[0], problem.d)
    gradient, unit = problem.gradient(W[None])[0], W / np.linalg.norm(W)
    parallel = (unit @ gradient) * unit
    step = -(along * parallel + across * (gradient - parallel))
    assert np.allclose(moved, step, rtol=1e-4, atol=1e-4 * np.abs(step).max())


def test_the_why_figure_has_no_empty_panel_and_a_panel_a_depth():
    figure = why.draw_why(why.why_table())
    assert all(axes.has_data() for axes in figure.axes)
    assert len(figure.axes) == 2 * 4 + 1
    figures.plt.close(figure)


def test_a_recorded_run_cut_at_the_budget_has_completed_it():
    made = schedules.constant(frame("tuned_rates_fine"), 4.0).set_index(["depth", "rate"])
    late, lost = made.loc[(2, 3.09e-4)], made.loc[(1, 1e-3)]
    assert np.isfinite(late.final)  # its starts diverge after 500,000 iterations
    assert lost.final == np.inf  # three of five diverge in the first ten
    early = made.loc[(2, 5e-4)]  # all starts diverge around iteration 124,000
    assert early.final == np.inf and not np.isfinite(early.distances[0]).all()
    assert arrival(late.iteration, late.distances[0], 2 * late.final).iterations < 200_000


def survival_of(shares):
    rates = [2e-4, 5e-4, 1e-3, 2e-3]
    table = [{"p": 4.0, "depth": 1, "rate": r, "share": s, "low": s - 0.04, "high": s + 0.04}
             for r, s in zip(rates, shares, strict=True)]  # fmt: skip
    return {"survival": pd.DataFrame(table)}


def test_a_limit_is_sharp_or_soft_and_a_coin_or_not_by_the_shares_that_live():
    soft, sharp = survival_of([1.0, 0.9, 0.5, 0.0]), survival_of([1.0, 1.0, 0.01, 0.0])
    by_id = {claim.id: claim for claim in claims.CLAIMS}
    assert by_id["survival-coin"].judge(soft).outcome == "reproduced"
    assert by_id["survival-coin"].judge(sharp).outcome == "not reproduced"
    assert claims.limits(soft["survival"], 0.5) == 1e-3
    assert claims.limits(soft["survival"], 0.99) == 2e-4
    assert claims.limits(sharp["survival"], 0.99) == claims.limits(sharp["survival"], 0.5) == 5e-4
    assert by_id["survival-soft"].judge(soft).outcome == "reproduced"
    assert by_id["survival-soft"].judge(sharp).outcome == "not reproduced"


def model(depth, factor, **schedule):
    """Curves that fall as 1/iteration, `factor` times as fast; five starts."""
    at = np.unique(np.geomspace(1, 200_000, 150).astype(int))
    distances = [1e3 / (1 + factor * at / (1 + 0.01 * i)) for i in range(5)]
    return {"p": 4.0, "depth": depth, "rate": 1e-3 * factor, "warm_up": 0, "clip": 0.0,
            "iterations": 200_000,
            "momentum": 0.0, "trimmed": False, "iteration": at, "distances": distances,
            "final": float(np.median([d[-1] for d in distances]))} | schedule  # fmt: skip


def test_a_corner_is_the_rate_that_arrives_first_and_a_lost_start_counts_as_never():
    layer = [model(1, 1), model(1, 4, warm_up=100), model(1, 8, clip=1.0)]
    models = pd.DataFrame([*layer, model(2, 2), model(3, 0.9)])
    corners = claims.corners(models, 200_000)
    base = corners[1, "constant"]["median"]
    assert base == pytest.approx(160_000, rel=0.01)
    assert base / corners[1, "any"]["median"] == pytest.approx(8, rel=0.01)
    assert base / corners[2, "any"]["median"] == pytest.approx(2, rel=0.01)
    assert claims.beside(corners, 2, "constant", 200_000)["speedup"].within(1.9, 2.1)
    for distances in models.distances[2][:3]:  # three of five starts of the clipped layer diverge
        distances[-5:] = np.nan
    assert claims.corners(models, 200_000)[1, "any"].warm_up == 100
