"""Computed from nothing, an experiment is the recorded one; what is not, is named."""

from dataclasses import dataclass, replace

import data_files
import numpy as np
import pytest

from report import __main__, compute, experiments, recheck, work
from report.experiments import Sweep
from report.experiments.base import NUDGE
from report.experiments.tasks import Outcome, Task, Tasks
from report.record import Record, Row


@pytest.mark.parametrize(
    "name", ["saddle", pytest.param("levy_wang_starts", marks=pytest.mark.slow)]
)
def test_a_recorded_experiment_is_what_it_was(name, capsys, monkeypatch, tmp_path):
    if not data_files.FOLDER.is_dir():
        data_files.skip("the recorded runs need them")
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    assert __main__.main(["check", "--all", name, "--workers", "1"]) == 0
    runs = "10" if name == "saddle" else "1,000"
    assert f"{name}: {runs} of {runs} runs are the recorded ones" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.parquet"))  # nothing is kept


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A small experiment with rates up to the edge of stability, its runs in the user's record."""
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    sweep = Sweep("small", 300, p=(2.0,), depth=(1, 2), rate=(1e-3, 1e-2, 0.1), seeds=(0, 1))
    monkeypatch.setitem(experiments.found(), "small", sweep)
    compute.compute(sweep.specs(), "small", recorded=False, workers=1, progress=False)
    return sweep


def test_an_experiment_of_networks_is_computed_too(small):
    found = recheck.compute_again("small", 1)
    assert found.runs == 12
    assert (found.worst, found.others) == (0.0, {})


def test_an_edited_run_is_told_from_one_that_round_off_moved(small, monkeypatch, tmp_path):
    """A stable run's loss and a whole unstable one are multiplied by 1 + 1e-4: only the latter can
    be another processor's."""
    kept = compute.lookup(small.specs())
    moved = []
    for spec in small.specs():
        row = kept[spec.key]
        if spec.run.seed == 0 and spec.run.depth == 2 and spec.run.rate == 1e-2:
            series = row.series | {"loss": row.series["loss"] * (1 + 1e-4)}
            summary = row.summary | {"final": series["loss"][-1]}
            row = replace(row, series=series, summary=summary)
            moved.append(spec.key)
        kept[spec.key] = row
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "edited"))
    Record(tmp_path / "edited" / "record").add(kept.values(), "small")
    found = recheck.compute_again("small", 1)
    assert list(found.others) == moved == list(found.different)


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
    worst, others = recheck.compare([computed], {"k": row})
    assert list(others) == ([] if same else ["k"]) and worst <= recheck.SAME


def test_a_run_that_the_record_lacks_is_told(row):
    with pytest.raises(KeyError, match=r"the run k .* is not in the record"):
        recheck.compare([row], {})


@dataclass(frozen=True)
class Logistic(Task):
    """Steps of x ← r x (1 − x): calm at a small rate, chaotic at a large one."""

    rate: float = 3.9
    steps: int = 30

    def run(self) -> Outcome:
        x = [0.3]
        for _ in range(self.steps):
            x.append(self.rate * x[-1] * (1 - x[-1]))
        return Outcome({}, {"x": np.array(x)}, {})

    def twin(self):
        return replace(self, rate=self.rate * (1 + NUDGE))


@pytest.mark.parametrize(("steps", "same"), [(20, False), (60, True)])
def test_what_a_task_amplifies_is_told_from_an_edit(steps, same):
    """The last value is off by a hundredth: after 60 chaotic steps round-off does that, after 20 it
    does not."""
    (row,) = Logistic.session([task := Logistic(steps=steps)]).run(lambda: None)
    row.series["x"][-1] *= 1.01
    source = Tasks("logistic", lambda: [task])
    *_, last = source.again([task], {task.key: row}, None)
    assert bool(last.deviation <= last.allowed) == same


def test_the_work_of_recording_grows_with_its_runs(monkeypatch, tmp_path):
    """Keys are hashed a fixed number of times a run, however many pieces are stored before it."""
    hashed = []

    def counted(spec, whole=work.key_of):
        hashed.append(spec)
        return whole(spec)

    def hashes(n):
        hashed.clear()
        tasks = [Logistic(rate=3 + i / n, steps=3) for i in range(n)]
        store = Record(tmp_path / str(n))
        compute.compute(tasks, "n", workers=1, progress=False, store=store, recorded=False)
        return len(hashed)

    monkeypatch.setattr(work, "key_of", counted)
    assert hashes(64) == 4 * hashes(16)


def test_a_run_is_not_watched_beyond_its_budget(monkeypatch, tmp_path):
    """One of two runs diverges just before its budget ends, so that both are watched a little
    longer; the other diverges then, which is no business of its record."""
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    sweep = Sweep("late", 1_000, p=(2.0,), depth=(1,), rate=(0.0139175, 0.0139207), seeds=(0,))
    rows = compute.compute(sweep.specs(), "late", recorded=False, workers=1, progress=False)
    early, late = sorted(row.summary["diverged_at"] or 1_000 for row in rows.values())
    assert 980 < early < late == 1_000
    found = recheck.recheck(sweep, rows, np.random.default_rng(0))
    assert found.runs == 2
