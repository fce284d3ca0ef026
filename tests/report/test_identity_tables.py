"""The saddle's tables of the chapter on identity starts, and the sentences that they give."""

import numpy as np
import pandas as pd
import pytest
from made_up_runs import axis, run

from accel_core.intervals import median_interval
from report import identity_tables as page
from report.claims import identity

BUDGET = 100_000


def offsets(**fates) -> pd.DataFrame:
    """Identity offsets of depth 8, two starts a rate: 't' trains, 's' stays, 'd' diverges."""
    shapes = {"t": 0.1, "s": 0.95, "d": 0.1}
    model = {"depth": 8, "start": identity.IDENTITY}
    return pd.DataFrame(
        run(
            model, np.linspace(1, shapes[fate], len(axis(BUDGET))), seed, float(rate), BUDGET,
            diverged=fate == "d",
        )
        for rate, both in fates.items()
        for seed, fate in enumerate(both)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fates", "expected"),
    [
        ({"1e-4": "tt", "1e-3": "tt", "1e-2": "dd", "1e-1": "tt"}, 1e-3),  # survivors beyond
        ({"1e-4": "tt", "1e-3": "td"}, 1e-4),
        ({"1e-4": "tt", "1e-3": "ts"}, 1e-4),  # back at the saddle is not trained
        ({"1e-4": "dt", "1e-3": "tt"}, np.nan),
    ],
)
def test_the_stable_rate_is_the_largest_below_which_all_train(fates, expected):
    assert page.stable_rate(offsets(**fates), 8) == pytest.approx(expected, nan_ok=True)


def test_the_rate_needed_is_told_in_multiples_of_the_stable_one():
    needed = median_interval([2e-3, 3e-3, 1.1e7])
    times = pd.DataFrame([{"depth": 4, "rate needed": needed, page.STABLE: 1e-4}])
    assert page.saddle_sentences(times) == (
        "For depth 4 the median start needs 30 times the stable rate [all starts: 20 to 1.1·10¹¹]."
    )
    assert page.saddle_sentences(times.assign(**{page.STABLE: np.nan})) == ""


def escapes(*rows) -> pd.DataFrame:
    """(predicted, left, diverged_at) of starts 0, 1, ... at rate 0.1."""
    table = pd.DataFrame(rows, columns=["predicted", "left", "diverged_at"])
    return table.assign(rate=0.1, seed=table.index, diverged_at=table.diverged_at.astype("Int64"))


def test_a_prediction_is_told_right_wrong_or_untested():
    table = escapes(
        (800, 824, 880), (1_000, np.nan, 1_000), (1_000, np.nan, 1_250),
        (9_536, np.inf, pd.NA), (2e5, np.inf, pd.NA), (2e5, 10, pd.NA),
    )  # fmt: skip
    assert page.escape_sentences(table, BUDGET).splitlines() == [
        "- Predicted to leave after the budget: 2 runs, of which 1 are still at the saddle when it "
        "ends.",
        "- Predicted to leave before: 4 runs.",
        "- Of these are seen at 0.9 of the first distance: 1, after 1.03 times the predicted "
        "iterations.",
        "- Diverge before they are: 2, after 1.00 to 1.25 times the predicted iterations.",
        "- At the saddle at the end, though predicted to leave: 1 (start 3 at rate 0.1, "
        "predicted 9,536).",
    ]
    shown = page.escape_view(table, BUDGET)["as run"].item()
    assert shown == "824 · × 1,000 · × 1,250 · > 100,000 · > 100,000 · 10"


def test_an_excursion_between_two_points_of_the_curve_is_told(monkeypatch):
    budget, never = 100_000, pd.DataFrame({"rate": [0.1, 0.1], "seed": [4, 3]})
    points = page.record_points(budget)
    gap = int(np.diff(points).argmax())
    first, last = int(points[gap]) + 1, int(points[gap]) + 3
    monkeypatch.setattr(
        page.side_runs,
        "excursions",
        lambda: {(0.1, 4): (first, last), (0.1, 3): (5, None)},
    )
    (told,) = page._excursions(never, budget)
    assert f"from iteration {first:,} to {last:,}" in told and "between two points" in told
    monkeypatch.setattr(
        page.side_runs, "excursions", lambda: {(0.1, 4): (first, int(points[gap + 1]))}
    )
    assert "between two points" not in page._excursions(never, budget)[0]
