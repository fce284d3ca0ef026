"""What an estimate counts; that its seconds and bytes are right is measured, not tested."""

import dataclasses
from types import SimpleNamespace

import pytest

from report import estimates, record
from report.__main__ import main
from report.compute import compute, run_piece
from report.experiments import Spec, Sweep, found

SWEEP = Sweep("short", 50_000, p=(2.0,), depth=(1, 2), rate=(1e-3,), seeds=(0, 1, 2, 3, 4))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)


class Here:
    """In place of a pool: tries in this process, where its own memory is not what is asked."""

    def __init__(self, *_):
        self.submit = lambda work, *given: SimpleNamespace(result=lambda: work(*given))

    __enter__, __exit__ = lambda self: self, lambda *_: None


def estimate(sweep=SWEEP, workers=2):
    return estimates.estimate(sweep.specs(), workers)


def test_work_grows_with_iterations_and_runs_and_the_closed_form_has_none(monkeypatch):
    monkeypatch.setattr(estimates, "ProcessPoolExecutor", Here)
    short, longer, wider = (
        estimate(),
        estimate(dataclasses.replace(SWEEP, iterations=100_000)),
        estimate(dataclasses.replace(SWEEP, seeds=tuple(range(10)))),
    )
    assert short.runs == short.missing == 10
    assert longer.multiplications == wider.multiplications == 2 * short.multiplications > 0
    assert estimate(dataclasses.replace(SWEEP, depth=(1,))).multiplications == 0


def test_the_last_worker_to_end_counts():
    assert estimates._makespan([3.0, 1.0, 1.0, 2.0], 2) == 4.0
    assert estimates._makespan([3.0, 1.0, 1.0, 2.0], 1) == 7.0
    assert estimates._makespan([3.0, 1.0], 8) == 3.0


def test_what_is_cached_is_told_apart_and_a_worker_is_needed(monkeypatch):
    monkeypatch.setattr(estimates, "ProcessPoolExecutor", Here)
    compute(dataclasses.replace(SWEEP, depth=(1,)).specs(), "short", workers=1, progress=False)
    now = estimate()
    assert (now.recorded, now.cached, now.missing) == (0, 5, 5)
    with pytest.raises(ValueError, match="workers = 0"):
        estimate(workers=0)


def test_a_workers_memory_is_that_of_its_shards(tmp_path):
    # the process that runs these tests is larger: the trial has one of its own
    few = estimate().memory
    wide = dataclasses.replace(SWEEP, depth=(2,), width=(2_000,), iterations=1_000)
    more = estimate(wide).memory
    (piece,) = Spec.cut(dataclasses.replace(wide, seeds=(0, 1, 2, 3, 4)).specs())
    states = sum(a.nbytes for row in run_piece(piece, tmp_path)[0] for a in row.arrays.values())
    assert few < 1e9
    assert more - few > states


def test_a_dry_run_computes_nothing_and_says_what_there_is_to_do(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "COMMITTED", tmp_path / "none")
    record.committed.cache_clear()
    monkeypatch.setitem(main.__globals__, "ROOT", tmp_path)
    monkeypatch.setitem(found(), "s", SWEEP)
    try:
        assert main(["record", "s", "--dry-run", "--workers", "3"]) == 0
    finally:
        record.committed.cache_clear()
    said = capsys.readouterr().out
    for words in ("10 runs of 50,000", "0 recorded", "10 to compute", "multiplications", "on 3 "):
        assert words in said
    assert not list(tmp_path.rglob("*.parquet"))
