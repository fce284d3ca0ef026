"""The page on speed: from a made-up file of measurements, what is met and what is not."""

import pandas as pd
import pytest

from report import bench_tables as page

FIGURE = {"case": "Figure 4", "depth": "1+2+3", "width": 1, "rows": 9, "features": 3}


@pytest.fixture
def path(tmp_path):
    """Ours takes 1 µs; the others as many as are asked of them, or a little more."""
    rows = [{**FIGURE, "case": "a million iterations", "p": 2.0, "models": 30, "engine": "ours",
             "seconds": 1.9, "least": 1.8, "most": 2.1}]  # fmt: skip
    others = {
        (2.0, 30): {page.PLAIN: 5_000, page.ROWS: 150, page.MOMENTS: 15.5, "limit: a": 9.0},
        (4.0, 30): {page.PLAIN: 20, page.ROWS: 2, "limit: a": 0.9, "limit: b": 0.95},
        (4.0, 300): {page.PLAIN: 20, page.ROWS: 2, "limit: a": 0.86, "limit: b": 3.0},
    }
    for (p, models), found in others.items():
        for engine, time in ({"ours": 1.0} | found).items():
            spread = {"microseconds": time, "least": 0.95 * time, "most": 1.05 * time}
            rows.append({**FIGURE, "p": p, "models": models, "engine": engine} | spread)
    pd.DataFrame(rows).to_csv(tmp_path / "report.bench.csv", index=False)
    return tmp_path / "report.bench.csv"


def test_demands_are_met_or_not_or_by_the_medians_only(path):
    met = page.demands(page.measured(path)).met.tolist()
    assert met == ["yes", "no", "by the medians", "by the medians", "yes", "yes", "yes",
                   "by the medians", "yes"]  # fmt: skip


def test_the_limit_is_the_fastest_of_its_ways(path):
    found = page.ratio(page.measured(path), 4.0, 30, page.LIMIT)
    assert found.median == pytest.approx(0.9)
    assert (found.low, found.high) == pytest.approx((0.9 * 0.95 / 1.05, 0.9 * 1.05 / 0.95))


def test_a_case_that_was_not_measured_is_named(path):
    with pytest.raises(KeyError, match=r"torch\.func\.vmap beside ours at p = 4, 300 models"):
        page.ratio(page.measured(path), 4.0, 300, "torch.func.vmap")


def test_the_answer_counts_them(path):
    told = page.answer(page.measured(path))
    assert "5,000 times" in told and "20 times" in told
    assert "Of 9 demands 5 are met in every repetition, 3 by the medians only, 1 are not" in told
