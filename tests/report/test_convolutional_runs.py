"""Convolutional runs and the record: kept, looked up, tabulated, computed again."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from accel_core import datasets
from accel_core import mnist as tutorial
from report import convolutional_runs as runs
from report import record
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
    assert len({runs.key(spec) for spec in specs}) == len(set(specs))


def test_a_run_is_computed_once_kept_and_found_again(data, monkeypatch):
    (first,) = runs.compute([TINY]).values()
    direct = tutorial.train(TINY, data)
    np.testing.assert_array_equal(runs.printed(first), direct.losses.sum(1, dtype=torch.float64))
    np.testing.assert_array_equal(first.arrays["test_accuracy"], [direct.epochs[0][3]])
    assert not list((datasets.cache_folder() / "checkpoints").iterdir())

    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("was computed again"))
    (again,) = runs.compute([TINY]).values()
    assert again.checksum() == first.checksum()
    record.committed().add([first], runs.NAME)
    monkeypatch.setenv("ACCEL_CACHE", "/nowhere")
    assert list(runs.lookup([TINY, replace(TINY, seed=5)])) == [TINY]


def test_an_interrupted_run_is_continued(data, monkeypatch):
    whole = tutorial.train(TINY, data)
    step = tutorial.Training._one_step

    def killed(run):
        if run.step == 4:
            raise KeyboardInterrupt
        step(run)

    monkeypatch.setattr(tutorial.Training, "_one_step", killed)
    monkeypatch.setattr(
        tutorial.train, "__kwdefaults__", tutorial.train.__kwdefaults__ | {"every": 2}
    )
    with pytest.raises(KeyboardInterrupt):
        runs.compute([TINY])
    begun_at = []
    monkeypatch.setattr(
        tutorial.Training, "_one_step", lambda run: (begun_at.append(run.step), step(run))
    )
    (row,) = runs.compute([TINY]).values()
    assert begun_at == [4, 5]
    np.testing.assert_array_equal(runs.printed(row), whole.losses.sum(1, dtype=torch.float64))


def test_runs_side_by_side_are_the_same_to_the_bit(data, capsys):
    specs = [replace(TINY, seed=seed) for seed in range(5)]
    one_by_one = [tutorial.train(spec, data).losses for spec in specs]
    rows = runs.compute(specs, workers=3)
    assert list(rows) == specs
    for row, losses in zip(rows.values(), one_by_one, strict=True):
        np.testing.assert_array_equal(runs.printed(row), losses.sum(1, dtype=torch.float64))
    assert "30/30" in capsys.readouterr().err  # steps


def test_recording_adds_what_is_computed_even_if_it_fails(data, monkeypatch, capsys):
    wanted = [replace(TINY, seed=seed) for seed in range(3)]
    monkeypatch.setattr(runs, "specs", lambda: wanted)
    train = runs.train

    def failing(spec, *arguments, **options):
        if spec.seed == 2:
            raise OSError("the disk is full")
        return train(spec, *arguments, **options)

    monkeypatch.setattr(runs, "train", failing)
    with pytest.raises(OSError, match="full"):
        runs.record(workers=1)
    assert [row.spec["seed"] for row in record.committed()] == [0, 1]
    monkeypatch.setattr(runs, "train", train)
    assert runs.record().parent == record.COMMITTED / runs.NAME
    assert len(list(record.committed())) == 3
    assert runs.record() is None
    told = capsys.readouterr().out.splitlines()
    assert "3 runs of 8,600 iterations, 3 to compute" in told[0]
    assert "hours on one core" in told[1]


def test_costs_go_by_the_recorded_runs_of_the_same_network(data, monkeypatch):
    original = replace(TINY, factored=False, penalty="product", steps=10)
    rows = runs.compute([TINY, original])
    seconds = {TINY: 3_600.0, original: 36_000.0}  # 10 minutes a step, an hour a step
    for spec, row in rows.items():
        row.provenance["seconds"] = seconds[spec]
    monkeypatch.setattr(runs, "lookup", lambda wanted: {s: rows[s] for s in wanted if s in rows})
    more = [replace(TINY, steps=60), replace(original, seed=7)]  # 10 hours of either
    monkeypatch.setattr(runs, "specs", lambda: [*rows, *more])
    assert runs.cost(4).endswith("2 to compute: 20.0 hours on one core as those in the record "
                                 "were, 5.0 with 4 at a time")  # fmt: skip


def test_a_device_that_is_not_there_is_named(data):
    with pytest.raises(ValueError, match="device is 'tpu'; this machine has cpu"):
        runs.compute([TINY], device="tpu")


def test_with_ci_set_a_missing_run_is_an_error_that_names_the_command(data, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(runs.MissingRuns, match=r"1 of 1 .*'seed': 1.*record convolutional"):
        runs.compute([TINY])


def test_the_table_has_the_settings_the_end_and_the_curves(data, monkeypatch):
    monkeypatch.setattr(tutorial, "CHUNK", 2)
    other = replace(TINY, factored=False, penalty="product", rate=1e7, steps=20)
    frame = runs.frame(runs.compute([TINY, other]))
    assert frame.name.tolist() == ["factored, penalty on factors", "original"]
    assert frame.status.tolist() == ["completed", "diverged"]
    assert len(frame.cross_entropy[0]) == len(frame.weight_penalty[0]) == 6
    assert len(frame.cross_entropy[1]) == frame.diverged_at[1] < 20
    assert np.isfinite(frame.cross_entropy[1]).all()
    assert frame.epoch[0].tolist() == [1.0]
    assert frame.dense_std.isna().all()


def test_recorded_losses_are_computed_again_and_an_edited_one_is_named(data):
    rows = runs.compute([TINY])
    assert runs.recheck(rows, data, steps=6) == 0
    rows[TINY].series["weight_penalty"][4] *= 1.01
    with pytest.raises(RecordError, match="another weight_penalty at step 4"):
        runs.recheck(rows, data, steps=6)
    assert runs.recheck(rows, data, steps=4) == 0


def test_the_smoke_profile_computes_a_start_of_everything(data):
    shown = runs.of_chapter("smoke", steps=1)
    assert {spec.steps for spec in shown} == {1}
    assert {replace(spec, steps=8_600) for spec in shown} == {
        spec for group in runs.experiments((0,)).values() for spec in group[:3]
    }
    assert not list(record.personal())


def test_experiments_are_distinct_and_the_figures_come_first():
    groups = runs.experiments()
    assert list(groups) == ["figure", "bare", "rates", "stds"]
    specs = [spec for group in groups.values() for spec in group]
    assert len(set(specs)) == len(specs)
    assert {spec.seed for spec in groups["figure"]} == {0, 1, 2}
