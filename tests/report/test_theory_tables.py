"""What the chapters of theory say in numbers: each sentence follows from what it is given."""

import numpy as np
import pandas as pd
import pytest

from accel_core import theory
from accel_core.theory.check import Check, _shown, report
from accel_core.theory.orders import Order
from report import theory_tables as tables

PLAN = {2.0: ([4.0, 6.0, 8.0], 0.3), 4.0: ([4.0, 6.0, 8.0], 0.3)}


@pytest.fixture(scope="module")
def scans():
    return pd.DataFrame(
        row
        for p, (ratios, tolerance) in PLAN.items()
        for row in theory.scaling(
            p, [1, 2, 3], ratios, [30.0, 60.0], points=40, tolerance=tolerance
        )
    )


def made_up(gains):
    """Gains as `tables.gains` has them, from {(p, N, ratio): gains over the angles}."""
    rows = [
        {"p": p, "depth": n, "ratio": ratio, "gain": gain}
        for (p, n, ratio), values in gains.items()
        for gain in values
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("value", "shown"), [(1.0, "1.0 × 10⁰"), (9.96e3, "1.0 × 10⁴"), (2.5e-12, "2.5 × 10⁻¹²")]
)
def test_powers_of_ten(value, shown):
    assert tables.power_of_ten(value) == shown


def test_rows_of_words():
    assert [tables.listed(it) for it in ([], [3.0], [3, 5], [1, 2, 8.5])] == [
        "none", "3", "3 and 5", "1, 2 and 8.5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (3e-14, "1e-13"), (1e-8, "1e-08"), (0.0201, "0.021"), (17.2, "18"), (np.inf, "inf")],
)
def test_an_error_is_shown_rounded_up(value, shown):
    assert _shown(value) == shown
    html = report(Check("thm-curl", value, 1.0))._repr_html_()
    assert "<th>error below</th>" in html and f"<td>{shown}</td>" in html


def test_the_misprinted_condition_holds_at_the_start_and_not_the_theorem():
    for weights, _ in tables.misprinted_starts(5, np.random.default_rng(0)):
        (off,) = theory.misprinted_imbalance(weights)
        assert np.abs(off).max() < 1e-13 * np.linalg.norm(weights[0]) ** 2 + 1e-13
        assert np.linalg.norm(theory.imbalance(weights)[0]) > 1e-3
    errors = tables.misprint_errors(5, np.random.default_rng(0))
    assert errors.shape == (5,) and errors.min() > 0
    assert tables.misprint_departures(3, np.random.default_rng(0), 0.1).min() > 1e-3
    assert tables.misprint_departures(3, np.random.default_rng(0), 1e-9).max() < 1e-6


def test_gains_are_quotients_of_the_scans(scans):
    found = tables.gains(scans)
    assert len(found) == 2 * len(scans) // 3
    for row in found.itertuples():
        same = (scans.p == row.p) & (scans.ratio == row.ratio) & (scans.angle == row.angle)
        (plain,) = scans[same & (scans.depth == 1)].itertuples()
        (deep,) = scans[same & (scans.depth == row.depth)].itertuples()
        assert row.gain == plain.iterations / deep.iterations
        assert row.best_gain == plain.best_iterations / deep.best_iterations
        bar = deep.largest * row.ratio ** (2 - 2 / row.depth)
        assert row.rate_gain == pytest.approx(bar / plain.largest)


def test_the_gain_table_is_that_of_the_largest_ratio(scans):
    found = tables.gains(scans)
    table = tables.gain_table(found, PLAN)
    runs = found[(found.p == 4) & (found.depth == 3) & (found.ratio == 8)]
    row = table.loc[4.0, 3]
    assert (row["median"], row["least"], row["most"]) == (
        runs.gain.median(), runs.gain.min(), runs.gain.max(),
    )  # fmt: skip
    assert row["c(p, N)"] == theory.monotone_constant(4.0, 3)
    assert table.loc[2.0]["c(p, N)"].isna().all()  # c is a gain for p > 2 only
    problem = theory.TwoPoints(8.0, 4.0, tolerance=0.3)
    counts = [theory.iterations(problem, n, [theory.monotone_rate(problem, n)])[0] for n in (1, 3)]
    assert row["no overshoot"] == counts[0] / counts[1]


def test_exponents_stand_beside_the_derived_ones(scans):
    table = tables.exponents(scans, PLAN)
    assert list(table.derived) == pytest.approx([0, 0, 1 / 3, 2, 2, 2])
    runs = scans[(scans.p == 4) & (scans.depth == 2)]
    assert table.edge[4.0, 2] == theory.robust_order(runs.ratio, runs.iterations)
    least, most = tables.slopes(table, 4.0).split(" to ")
    fitted = [order.exponent for order in table.loc[4.0].edge]
    assert (least, most) == (f"{min(fitted):.2f}", f"{max(fitted):.2f}")


def test_landings_are_named_and_left_out():
    found = made_up({(4.0, 2, 8.0): [2.0, 3.0, 90.0], (4.0, 2, 16.0): [40.0, 50.0, 2.5]})
    assert tables.gain_range(found, 4.0, 2) == (2.0, 3.0, 3, 6)
    assert tables.medians_that_landed(found) == "depth 2 at p = 4, ratio 16"
    assert tables.medians_that_landed(found[found.ratio == 8]) == "none"
    shown = [tables.shown_gain(it) for it in (2.0, 10.0, 10.1, float("nan"), "64")]
    assert shown == ["2.00", "10.00", "landing", "–", "64"]


def test_what_is_below_one_and_what_is_largest():
    index = pd.MultiIndex.from_tuples([(2.0, 2), (2.0, 3), (3.0, 2), (3.0, 3)], names=["p", "N"])
    table = pd.DataFrame({"median": [0.5, 0.4, 1.5, 2.0], "best": [0.5, 0.9, 1.0, 0.8]}, index)
    assert tables.below_one(table, "median") == "depths 2 and 3 at p = 2"
    assert tables.below_one(table, "best") == "depths 2 and 3 at p = 2; depth 3 at p = 3"
    assert tables.below_one(table.loc[3.0:3.0], "median") == "none"
    assert tables.largest_gains(table) == "2 at p = 2 and 3 at p = 3"


def test_other_definitions_are_scanned_and_judged():
    found = tables.definitions((4.0, 8.0), (0.1,), (0.2, 0.3), points=40)
    assert list(found.columns) == ["δ", "ε", "ratio", "gain", "rate_gain"] and len(found) == 4
    problem = theory.TwoPoints(8.0, 4.0, start=0.1, tolerance=0.3)
    one, two = (theory.stable_rates(problem, n, 40) for n in (1, 2))
    assert found.gain.iloc[-1] == one.iterations / two.iterations
    assert found.rate_gain.iloc[-1] == pytest.approx(two.largest * 8 / one.largest)
    found["gain"], found["rate_gain"] = [2.0, 3.0, 700.0, 4.0], [2.0, 2.5, 3.0, 4.0]
    said = tables.definitions_verdict(found)
    assert said.startswith("1 of the 4 gains are landings. The others wander between 2.00 and 4.00")
    assert "within 20% of" in said
    assert "is multiplied by 1.50 to 1.50 (1 of 2 rows" in said and said.endswith("by 2.0.")
    assert tables.definitions_table(found).to_numpy().tolist() == [
        ["2.00", "3.00"], ["landing", "4.00"],
    ]  # fmt: skip


def test_a_verdict_on_linearity_names_each_depth():
    fits = {2: Order(1.01, 0.98, 1.04), 4: Order(1.02, 1.01, 1.03)}
    said = tables.linear_verdict(fits)
    assert said.split("; ") == [
        "depth 2 1.010 (95 %: 0.980 to 1.040), which contains 1",
        "depth 4 1.020 (95 %: 1.010 to 1.030), which excludes 1",
    ]
    assert tables.order_range(fits.values()) == "1.010 to 1.020"
