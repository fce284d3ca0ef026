"""Convolutional runs and the record: kept, looked up, tabulated, computed again."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from accel_core import datasets
from report import compute as report_compute
from report import estimates, recheck, record
from report import mnist as tutorial
from report.__main__ import main
from report.compute import compute as compute_works
from report.experiments import convolutional as runs
from report.experiments.convolutional import Convolution
from report.record import RecordError

TINY = tutorial.Convolutional(
    factored=True, seed=1, penalty="factors", steps=6, batch=16
)  # one epoch of the 90 images below


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Random images in MNIST's place for this test alone, and a record and a cache of its own."""
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (110, 28, 28), dtype=np.uint8)
    labels = source.integers(0, 10, 110)
    split = tutorial.Digits.tutorial(images[:90], labels[:90], images[90:], labels[90:], held_out=0)
    monkeypatch.setattr(runs, "digits", lambda: (split, "digest-of-random-images"))
    monkeypatch.setattr(record, "COMMITTED", tmp_path / "committed")
    record.committed.cache_clear()
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield split
    record.committed.cache_clear()
    torch.set_num_threads(threads)


def compute(specs, **options):
    works = [Convolution(spec) for spec in specs]
    rows = compute_works(works, runs.NAME, workers=1, progress=False, **options)
    return {work.of: rows[work.key] for work in works}


def test_keys_tell_every_setting_apart():
    changed = {
        "factored": False, "seed": 2, "penalty": "product", "coefficient": 1e-3, "dropout": 0.1,
        "rate": 0.02, "decay": 0.9, "momentum": 0.8, "std": 0.2, "dense_std": 0.1, "batch": 4,
        "steps": 7, "evaluate_every": 2, "data": "other",
    }  # fmt: skip
    assert set(changed) == {field.name for field in fields(TINY)}
    specs = [
        replace(TINY, **{name: value}) for name, value in changed.items() if name != "factored"
    ]
    specs += [TINY, replace(TINY, penalty="product"), replace(TINY, factored=False, penalty="none")]
    assert len({Convolution(spec).key for spec in specs}) == len(set(specs))


def test_a_run_is_computed_once_kept_and_found_again(data, monkeypatch):
    (first,) = compute([TINY]).values()
    direct = tutorial.train(TINY, data)
    np.testing.assert_array_equal(runs.printed(first), direct.losses.sum(1, dtype=torch.float64))
    np.testing.assert_array_equal(first.arrays["test_accuracy"], [direct.epochs[0][3]])
    assert not list((datasets.cache_folder() / "checkpoints").glob("*"))

    monkeypatch.setattr(runs, "Steps", lambda *_: pytest.fail("was computed again"))
    (again,) = compute([TINY]).values()
    assert again.checksum() == first.checksum()
    record.committed().add([first], runs.NAME)
    monkeypatch.setenv("ACCEL_CACHE", "/nowhere")
    assert list(runs.lookup([TINY, replace(TINY, seed=5)])) == [TINY]


def test_an_interrupted_run_is_continued(data, monkeypatch):
    """That it is begun anew after any damage is `test_campaign`'s."""
    whole, step, begun_at = tutorial.train(TINY, data), tutorial.Training._one_step, []

    def killed(run):
        if run.step == 4:
            raise KeyboardInterrupt
        step(run)

    monkeypatch.setattr(runs, "TICK", 2)
    monkeypatch.setattr(report_compute, "CHECKPOINT", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(tutorial.Training, "_one_step", killed)
        with pytest.raises(KeyboardInterrupt):
            compute([TINY])
    (path,) = (datasets.cache_folder() / "checkpoints").glob("*.checkpoint")
    monkeypatch.setattr(
        tutorial.Training, "_one_step", lambda run: (begun_at.append(run.step), step(run))
    )
    (row,) = compute([TINY]).values()
    assert begun_at == [4, 5]
    np.testing.assert_array_equal(runs.printed(row), whole.losses.sum(1, dtype=torch.float64))
    assert not path.exists()


def test_recording_adds_what_is_computed_even_if_it_is_interrupted(data, monkeypatch, capsys):
    wanted = [Convolution(replace(TINY, seed=seed)) for seed in range(3)]
    monkeypatch.setattr(runs.Figure, "specs", lambda _: wanted)
    monkeypatch.setitem(main.__globals__, "ROOT", record.COMMITTED.parent)
    step = tutorial.Training._one_step

    def failing(run):
        if run.spec.seed == 2:
            raise KeyboardInterrupt
        step(run)

    with monkeypatch.context() as patch:
        patch.setattr(tutorial.Training, "_one_step", failing)
        assert main(["record", runs.NAME, "--workers", "1"]) == 130
    assert [row.spec["seed"] for row in record.committed()] == [0, 1]
    assert main(["record", runs.NAME, "--workers", "1"]) == 0
    assert len(list(record.committed())) == 3
    assert main(["record", runs.NAME, "--workers", "1"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "3 runs, 3 to compute" in told[0]
    assert "3 runs, 1 to compute: " in told[1]
    assert "complete, nothing to add" in told[-1]


def test_costs_go_by_the_recorded_runs_of_the_same_network(data, monkeypatch):
    original = replace(TINY, factored=False, penalty="product")
    rows = {Convolution(spec).key: row for spec, row in compute([TINY, original]).items()}
    for row in rows.values():
        row.provenance["seconds"] = 3_600.0 * (10 if row.spec["factored"] else 20)
    monkeypatch.setattr(estimates.record, "lookup", lambda keys: rows)
    more = [replace(TINY, seed=6), replace(original, seed=7)]
    monkeypatch.setattr(
        runs.Figure, "specs", lambda _: [Convolution(s) for s in (TINY, original, *more)]
    )
    told = estimates.words(runs.Figure(), 4)
    assert "4 runs, 2 to compute: 30.0 h on one core" in told and "7.5 h with 4" in told


def test_the_table_has_the_settings_the_end_and_the_curves(data, monkeypatch):
    monkeypatch.setattr(tutorial, "CHUNK", 2)
    other = replace(TINY, factored=False, penalty="product", rate=1e7, steps=20)
    frame = runs.frame(compute([TINY, other]))
    assert frame.name.tolist() == ["factored, penalty on factors", "original"]
    assert frame.status.tolist() == ["completed", "diverged"]
    assert len(frame.cross_entropy[0]) == len(frame.weight_penalty[0]) == 6
    assert len(frame.cross_entropy[1]) == frame.diverged_at[1] < 20
    assert np.isfinite(frame.cross_entropy[1]).all()
    assert frame.epoch[0].tolist() == [1.0]
    assert frame.dense_std.isna().all()


def test_recorded_losses_are_computed_again_and_an_edited_one_is_named(data, monkeypatch):
    (row,) = compute([TINY]).values()
    monkeypatch.setattr(runs, "SAME_STEPS", 6)

    def check():
        rng = np.random.default_rng(0)
        return recheck.recheck(runs.Figure(), {row.key: row}, rng, [Convolution(TINY)])

    assert check().worst == 0
    row.series["weight_penalty"][4] *= 1.1
    with pytest.raises(RecordError, match="the weight_penalty at step 4"):
        check()
    monkeypatch.setattr(runs, "SAME_STEPS", 4)
    assert check().worst == 0


def test_the_smoke_profile_computes_a_start_of_everything(data):
    shown = runs.of_chapter("smoke", steps=1)
    assert {spec.steps for spec in shown} == {1}
    assert {replace(spec, steps=8_600) for spec in shown} == {
        spec for group in runs.experiments((0,)).values() for spec in group[:3]
    }
    assert not list(record.personal())
