"""Tables of the chapters: what they say of curves whose deviation and implied rate are known."""

import doctest

import data_files
import numpy as np
import pandas as pd
import pytest
from made_up_runs import axis, table

from accel_core.datasets import DataUnavailable
from accel_core.intervals import Estimate
from report import compute, experiments, formats, tables
from report.claims import printed, races
from report.claims.explicit import CLAIMS
from report.claims.races import Race
from report.experiments.printed_l4 import IMPLIED
from report.figures import printed_curve

BUDGET = 100_000
POWER = (1 + axis(BUDGET) / 100) ** -0.7
PRINTED = (axis(BUDGET)[1:].astype(float), POWER[1:])


def html(shown):
    return shown._repr_mimebundle_()["text/html"]


def test_examples_of_numbers_as_a_page_writes_them_are_right():
    assert doctest.testmod(formats).failed == 0


def test_a_table_on_a_page_has_short_numbers():
    frame = pd.DataFrame({"name": ["a|b"], "x": [1234567.0], "y": [0.00012345], "z": [np.inf]})
    for cell in ("a|b", "1,230,000", "1.23&nbsp;×&nbsp;10⁻⁴", "∞"):
        assert f"<td>{cell}</td>" in html(tables.show(frame))


def test_a_table_is_formatted_and_selected_on_the_page_and_whole_in_its_csv(monkeypatch):
    monkeypatch.setenv("ACCEL_FIGURE_DATA", "1")
    frame = pd.DataFrame({"x": [0.123456], "kept": [1.0]})
    shown = tables.show(frame, {"x": "{:.1f}"}, columns={"x": "the <x>"})
    assert "<th>the &lt;x&gt;</th>" in html(shown) and "<td>0.1</td>" in html(shown)
    assert "kept" not in html(shown)
    assert shown._repr_mimebundle_()["text/csv"] == "x,kept\n0.123456,1.0\n"


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.688, 0.688, 0, 0.7449), "0.688 [0, 0.745]"),
        ((0, 0.8, 0, 0.802), "< 0.800 [0, 0.802]"),
        ((466_982.2, 466_982.2, 463_210, 471_400), "467,000 [463,000, 471,000]"),
        ((2.1, np.inf, 1.9, np.inf), "> 2.10 [1.90, ∞]"),
        ((1, 2, 1, 2), "1.00 to 2.00 [1.00, 2.00]"),
        ((0, np.inf, 0, np.inf), "unknown [0, ∞]"),
    ],
)
def test_an_estimate_has_all_its_ends_to_the_same_place_and_says_a_bound(ends, text):
    assert tables.number(Estimate(*ends, coverage=0.94, n=5)) == text


def test_deviations_are_those_put_in():
    runs = table([({}, POWER * 10**0.02)], BUDGET, jitter=0.01)
    row = tables.deviations({"it": (PRINTED, runs)}).iloc[0]
    # starts are 1.00 … 1.04 times the curve; the median is the third
    assert row.dex.median_low == pytest.approx(0.02 + np.log10(1.02), abs=1e-6)
    assert row.dex.high == pytest.approx(0.02 + np.log10(1.04), abs=1e-6)
    assert (row.rate, row.nearest_rate, row.diverged) == (1e-3, 1e-3, 0)
    assert (row.single_rate, row.single_dex) == (1e-3, pytest.approx(0.02, abs=1e-6))


def test_the_stated_rate_counts_its_diverged_starts():
    row = tables.deviations({"it": (PRINTED, table([({}, POWER)], BUDGET))}, rate=1e-2).iloc[0]
    assert (row.rate, row.diverged) == (1e-2, 5)
    assert row.dex.median_low == np.inf


@pytest.mark.parametrize("factor", [0.1, 1.0, 3.0])
def test_the_implied_rate_is_found(factor):
    slow = (1 + axis(BUDGET) / factor / 100) ** -0.7
    run = table([({}, slow)], BUDGET, slow=1.0).query("rate == 0.001").iloc[0]
    at = PRINTED[0] < BUDGET / max(factor, 1)
    rate, dex = printed.implied_rate(run, (PRINTED[0][at], PRINTED[1][at]), 1000)
    assert rate == pytest.approx(run.rate * factor, rel=0.01)
    assert dex < 0.01


def test_no_implied_rate_is_read_past_the_end_of_a_run():
    slow = (1 + axis(BUDGET) / 300) ** -0.7
    run = table([({}, slow)], BUDGET, slow=1.0).query("rate == 0.001").iloc[0]
    rate, dex = printed.implied_rate(run, PRINTED, 1000)
    assert rate <= run.rate
    assert dex > 0.2


def test_races_say_what_never_arrives_and_which_rate_is_on_the_edge():
    models = [({"depth": 1}, POWER), ({"depth": 3}, np.maximum(POWER, 0.1))]
    race = Race("deep over one", {"depth": 3}, {"depth": 1}, 0.8, lower=1)
    frame = table(models, BUDGET)
    row = tables.races(races.race_table(frame[frame.rate.le(1e-3)], [race])).iloc[0]
    assert (row.comparison, row["share"]) == ("deep over one", 0.8)
    assert (row.censored, row.baseline_censored) == (5, 0)
    assert (row.value, tables.number(row.speedup).split()[0]) == (np.inf, "<")
    assert row.baseline_value == pytest.approx(80_000, rel=1e-3)
    assert (row.edge, row.baseline_edge) == ("largest", "largest")


def test_a_reference_that_has_not_moved_is_no_target():
    models = [({"depth": 1}, np.ones(axis(BUDGET).size)), ({"depth": 3}, POWER)]
    race = Race("deep over one", {"depth": 3}, {"depth": 1}, 0.8, lower=1)
    row = races.race_table(table(models, BUDGET), [race]).iloc[0]
    assert row.target == races.MOVED
    assert (row.censored, row.baseline_censored) == (0, 5)


def test_verdicts_of_missing_runs_say_so_and_are_linked():
    shown = tables.verdicts({}, CLAIMS[:1])
    assert f'? <em>cannot be tested</em>: <a href="40-claims.html#{CLAIMS[0].id}">' in html(shown)


def test_smoke_runs_are_computed_from_scratch(monkeypatch):
    monkeypatch.setattr(compute, "lookup", lambda specs: pytest.fail("looked up"))
    monkeypatch.setattr(compute, "compute", lambda *a, **k: pytest.fail("kept"))
    try:
        frame = experiments.runs("smoke", 3)("tuned_rates")
    except DataUnavailable as reason:
        data_files.skip(reason)
    assert frame.budget.eq(3).all()
    assert frame.seed.nunique() == 5


def test_a_misspelt_profile_is_refused():
    with pytest.raises(ValueError, match="profile = 'papre': must be one of paper, smoke"):
        experiments.runs("papre")


def test_the_rates_that_the_printed_curves_demand_are_those_that_were_run():
    runs = experiments.recorded("printed_l4")
    heavy = runs[runs.rule.eq("Momentum(beta=0.9, nesterov=False)")]
    for depth, rate in IMPLIED.items():
        curve = printed_curve("fig4_l4", f"depth{depth}")
        of_depth = heavy[heavy.depth.eq(depth) & heavy.seed.eq(0)]
        found, dex = printed.implied_rate(of_depth.iloc[0], curve, 1e5)
        # read off a figure: one percent in distance is two in the rate
        assert found / (1 - 0.9) == pytest.approx(rate, rel=0.03)
        assert dex < 0.05
