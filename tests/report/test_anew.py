"""Computed from nothing, an experiment is the recorded one; what is not, is named."""

import numpy as np
import pytest

from report import __main__, anew
from report.record import Row


@pytest.mark.parametrize(
    "name", ["saddle", pytest.param("levy_wang_starts", marks=pytest.mark.slow)]
)
def test_a_recorded_experiment_is_what_it_was(name, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    assert __main__.main(["anew", name, "--workers", "1"]) == 0
    runs = "10" if name == "saddle" else "1,000"
    assert f"{name}: {runs} of {runs} runs are the recorded ones" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.parquet"))  # nothing is kept


def test_an_experiment_of_networks_is_computed_too(monkeypatch, tmp_path):
    """In small: the kept runs of one experiment are those of a smaller one, recomputed."""
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    small = anew.experiment("adam").scaled(300, seeds=1)
    monkeypatch.setattr(anew, "experiment", lambda name: small)
    kept = anew.compute.compute(small.specs(), "small", recorded=False, workers=1, progress=False)
    found = anew.compute_anew("adam", 1)
    assert found.runs == len(kept) == 30
    assert (found.worst, found.others) == (0.0, {})


@pytest.fixture
def row():
    arrays = {"sharpness": np.array([1.0, np.nan])}
    return Row("k", {}, {"status": "completed"}, {"loss": np.array([2.0, 1.0])}, arrays)


@pytest.mark.parametrize(
    ("part", "name", "value", "same"),
    [
        ("series", "loss", [2.0, 1.0 + 1e-6], True),
        ("series", "loss", [2.0, 1.0 + 1e-4], False),
        ("series", "loss", [2.0], False),
        ("series", "loss", [2.0, np.inf], False),
        ("arrays", "sharpness", [[1.0, np.nan]], True),
        ("arrays", "sharpness", [1.0, 1.0], False),
        ("arrays", "state 5", [9.0], True),  # not kept in the record
        ("summary", "status", "diverged", False),
    ],
)
def test_what_counts_as_the_recorded_run(row, part, name, value, same):
    parts = {p: dict(getattr(row, p)) for p in ("summary", "series", "arrays")}
    parts[part][name] = value if part == "summary" else np.array(value)
    computed = Row("k", {}, parts["summary"], parts["series"], parts["arrays"])
    worst, others = anew.compare([computed], {"k": row})
    assert list(others) == ([] if same else ["k"]) and worst <= anew.SAME


def test_a_run_that_the_record_lacks_is_told(row):
    with pytest.raises(KeyError, match=r"the run k .* is not in the record"):
        anew.compare([row], {})
