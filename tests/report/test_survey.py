"""The survey: its search ends inside the grid, its flow is gradient descent's limit, its table."""

import data_files
import numpy as np
import pandas as pd
import pytest

from accel_core import arrival, statistics
from accel_core.datasets import DataUnavailable, load, outlier_rows, standardize
from accel_core.initializers import NearZero
from accel_core.intervals import Estimate
from accel_core.models import Architecture
from accel_core.problem import Problem
from accel_core.sharpness import sharpness
from accel_core.training import Run, train
from report import experiments
from report.claims import NOT_REPRODUCED, REPRODUCED, UNDECIDED
from report.claims import survey as claims
from report.experiments import survey
from report.experiments.flow import flow


def made_up(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.geomspace(1, 0.5, d)
    return X, X @ np.arange(1.0, d + 1) / 4 + 0.3 * rng.standard_normal(n)


@pytest.fixture
def row(monkeypatch):
    X, y = made_up()
    monkeypatch.setattr(survey.Survey, "rows", lambda _: (X[:45], y[:45], X[45:], y[45:]))
    (made,) = survey.Survey.session([survey.Survey("yacht", 4.0, False, 300, 3)]).run(lambda: None)
    return made


def test_a_tuned_rate_has_neighbours_on_both_sides_and_the_times_are_those_of_the_curves(row):
    runs, table = survey.runs_of(row), survey.survey_table([row])
    assert not table.edge.any()
    for j, target in enumerate(row.arrays["targets"]):
        again = statistics.speedup(runs, baseline={"depth": 1}, target=target, reach=arrival)
        assert not again.edge.any() and not again.baseline_edge.any()
        own = table[table.share == survey.SHARES[j]]
        for ours, theirs in zip(again.itertuples(), own.itertuples(), strict=True):
            assert ours.value == pytest.approx(theirs.value, rel=1e-3)
            assert ours.speedup.low == pytest.approx(theirs.speedup.low, rel=1e-3)


@pytest.mark.parametrize(("depth", "p"), [(1, 4.0), (2, 4.0), (3, 2.0)])
def test_the_flow_is_descent_at_a_small_rate_and_its_limit_the_largest_sharpness(depth, p):
    problem, rate = Problem(*made_up(), p), 2e-4
    best, start = problem.optimum().loss, Architecture(depth, 1).start(NearZero(0.3), 1, 3)
    target = 0.05 * (problem.loss(np.zeros((1, 3))) - best)
    (time,), limit = flow(problem, [target], start)
    points = np.linspace(0, time / rate, 100).astype(int)
    model = Run(depth, start=NearZero(0.3), seed=1, rate=rate)
    run = train(problem, model, int(points[-1]), record_at=points, states_at=points)
    assert run.loss[-1] - best == pytest.approx(target, rel=0.02)
    steep = [sharpness(problem, Architecture(depth, 1), state)[0] for state in run.states.values()]
    assert 2 / max(steep) == pytest.approx(limit, rel=0.02)


def test_the_tables_with_far_rows_are_those_named():
    try:
        far = [name for name in survey.TABLES
               if (data := load(name, download=False).varying()) and max(
                   np.abs(standardize(data.X)).max(), np.abs(standardize(data.y)).max()
               ) > survey.FAR]  # fmt: skip
    except DataUnavailable as reason:
        data_files.skip(reason)
    assert tuple(far) == survey.TRIMMED


def test_the_half_that_is_fitted_was_drawn_and_holds_what_was_tried():
    assert {"airfoil", "yacht", "ethanol"} <= set(survey.HALF_A)
    assert len(survey.TABLES) - len(survey.HALF_A) == 10


def table_of(speeds, p=2.0):
    rows = [{"dataset": f"t{i}", "p": p, "depth": 2, "share": 0.4, "iterations": 10_000,
             "trimmed": False, "speedup": Estimate(s, s, s, s, 0.9, 5)}
            for i, s in enumerate(speeds)]  # fmt: skip
    return {"survey": pd.DataFrame(rows)}.__getitem__


@pytest.mark.parametrize(
    ("slower", "outcome"), [(18, REPRODUCED), (11, UNDECIDED), (3, NOT_REPRODUCED)]
)
def test_most_is_more_than_half_with_certainty_and_less_with_certainty_is_not(slower, outcome):
    (claim,) = (claim for claim in claims.CLAIMS if claim.id == "survey-squares")
    judged = claim.judge(table_of([0.8] * slower + [1.2] * (21 - slower)))
    assert judged.outcome == outcome


def test_no_tuned_rate_of_the_recorded_survey_is_the_end_of_its_grid():
    assert not experiments.recorded("survey").edge.any()


def test_the_six_rows_in_order_of_leverage_and_those_not_left_out_are_trained_on():
    try:
        data = load("ethanol", download=False)
    except DataUnavailable as reason:
        data_files.skip(reason)
    far = outlier_rows(data.X)
    leverage = np.sum(np.linalg.svd(standardize(data.X), full_matrices=False)[0] ** 2, axis=1)
    assert tuple(far[np.argsort(-leverage[far])]) == survey.SIX
    for left in ((), survey.SIX[:2], survey.SIX):
        X, _, held, _ = survey.Survey("ethanol", 4.0, left_out=left).rows()
        own = np.abs(X[:6]).max(axis=1) > 17  # they come first
        assert own.tolist() == [True] * (6 - len(left)) + [False] * len(left)
        assert len(X) + len(held) == 2565 - len(left)
