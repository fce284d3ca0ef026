"""Sweeps and the re-check of what they recorded, on short ℓ2 runs that need no download."""

import dataclasses

import numpy as np
import pytest

from accel_core.rules import Adam, EndToEnd, GradientDescent, Momentum
from accel_core.statistics import tune
from report import compute, recheck, record, shards
from report.experiments import FINER, ProblemSpec, Spec, Sweep, experiment
from report.record import Record, RecordError

SWEEP = Sweep("short", 3_000, p=(2.0,), depth=(1, 2), rate=(1e-3, 1e-2, 0.5), seeds=(0, 1))
SPECS = SWEEP.specs()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    found = {r.key: r for piece in shards.cut(SPECS) for r in shards.run_shard(piece, folder)[0]}
    return {spec.key: found[spec.key] for spec in SPECS}


def test_keys_tell_every_setting_apart():
    assert len({spec.key for spec in SPECS}) == len(SPECS) == 12
    spec = SPECS[0]
    others = [
        dataclasses.replace(spec, iterations=3_001),
        dataclasses.replace(spec, problem=ProblemSpec(trimmed=True)),
        *(
            dataclasses.replace(spec, run=dataclasses.replace(spec.run, **{name: value}))
            for name, value in {"rate": 2e-3, "seed": 7, "bias": True, "weight_decay": 0.1}.items()
        ),
    ]
    assert len({spec.key, *(other.key for other in others)}) == 7
    assert spec.key == Spec(spec.problem, spec.run, spec.iterations).key


def test_shards_hold_every_run_once():
    pieces = shards.cut(SPECS)
    assert sorted(s.key for piece in pieces for s in piece) == sorted(s.key for s in SPECS)
    assert max(map(len, pieces)) <= shards.SHARD


def test_what_is_computed_is_kept_and_not_computed_again(monkeypatch):
    computed = compute.compute(SPECS, "short", workers=1, progress=False)
    monkeypatch.setattr(compute, "run_shard", None)  # the expensive step would raise
    again = compute.compute(SPECS, "short", workers=1, progress=False)
    assert [row.checksum() for row in again.values()] == [r.checksum() for r in computed.values()]


def test_a_missing_run_is_an_error_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "1")
    with pytest.raises(compute.MissingRuns, match=r"12 of 12 runs of short.*report record short"):
        compute.compute(SPECS, "short")


RULES = (GradientDescent(), Momentum(), Adam(), EndToEnd(2))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("done", [1, 1_234, 2_999])
def test_a_shard_goes_on_from_its_checkpoint_to_the_bit(tmp_path, rule, done):
    depth = (1,) if isinstance(rule, EndToEnd) else (1, 2, 3)
    specs = dataclasses.replace(SWEEP, depth=depth, rate=(1e-2, 0.5), seeds=(0,), rule=(rule,))
    (piece,) = shards.cut(specs.specs())
    undisturbed, name = shards.run_shard(piece, tmp_path)
    assert not list(tmp_path.iterdir())  # nothing but an interval's end makes a checkpoint
    _, batch, recorder = shards.prepare(piece)
    recorder.run(done)
    shards._save(tmp_path / name, piece, batch, recorder)
    resumed, _ = shards.run_shard(piece, tmp_path)
    assert [row.provenance["resumed_at"] for row in resumed] == [done] * len(piece)
    for row, other in zip(resumed, undisturbed, strict=True):
        assert other.provenance["resumed_at"] == 0
        assert same(row, other)


def same(one, other):
    """Whether two rows agree to the last bit in all but their provenance."""
    return (
        dataclasses.replace(one, provenance={}).checksum()
        == dataclasses.replace(other, provenance={}).checksum()
    )


@pytest.mark.parametrize("damage", ["cut off", "empty", "other data"])
def test_a_checkpoint_that_is_of_no_use_is_passed_over(tmp_path, rows, damage):
    piece, *_ = shards.cut(SPECS)
    path = tmp_path / shards.checkpoint(piece)
    _, batch, recorder = shards.prepare(piece)
    recorder.run(100)
    batch.theta += 1
    shards._save(path, piece, batch, recorder)
    if damage == "other data":
        with np.load(path) as kept:
            content = dict(kept)
        np.savez(path, **content | {"data": "of somebody else"})
    else:
        path.write_bytes(path.read_bytes()[: 1000 if damage == "cut off" else 0])
    found, _ = shards.run_shard(piece, tmp_path)
    assert all(same(row, rows[row.key]) for row in found)


def test_the_run_table_says_how_each_run_ended(rows):
    table = compute.run_table(rows).set_index("key")
    for spec in SPECS:
        row = table.loc[spec.key]
        assert (row.status == "diverged") == (spec.run.rate == 0.5)
        assert np.isinf(row.final) == (row.status == "diverged")
        assert row.iteration[0] == 0
        assert len(row.iteration) == len(row.distance)
        assert (row.distance > 0).all()


def test_the_recheck_agrees_with_what_was_computed(rows):
    result = recheck.recheck(SPECS, rows, np.random.default_rng(0))
    assert result.runs == 12
    assert result.values > 12 * 60
    assert result.worst < recheck.SAME_DATA == result.tolerance


@pytest.mark.parametrize(
    ("group", "name", "at"),
    [
        ("series", "loss", 40),
        ("series", "loss", -2),
        ("arrays", "trace", -1),
        ("arrays", "state 1000", 3),
    ],
)
def test_the_recheck_finds_a_value_whose_checksums_were_made_to_fit(
    rows, tmp_path, group, name, at
):
    spec = next(s for s in SPECS if s.run.depth == 2 and s.run.rate == 1e-2)
    row = rows[spec.key]
    values = getattr(row, group)[name].copy()
    values[at] *= 1 + 1e-3
    edited = dataclasses.replace(row, **{group: getattr(row, group) | {name: values}})
    record = Record(tmp_path / "record", indexed=True)
    record.add([edited], "short")  # checksum, index and file name all fit
    kept = Record(tmp_path / "record", indexed=True).find([spec.key])
    with pytest.raises(RecordError, match=f"{spec.key}.*computed again.*make record"):
        recheck.recheck([spec], kept, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["optimum", "final"])
def test_the_recheck_covers_the_summary(rows, name):
    row = rows[SPECS[0].key]
    edited = dataclasses.replace(row, summary=row.summary | {name: row.summary[name] * 1.01})
    with pytest.raises(RecordError, match=SPECS[0].key):
        recheck.recheck(SPECS[:1], {SPECS[0].key: edited}, np.random.default_rng(0))


def test_the_finer_grid_lies_around_the_recorded_best_rates():
    table = compute.run_table(
        record.committed().find(s.key for s in experiment("tuned_rates").specs())
    )
    best = tune(table).set_index(["p", "depth"]).rate
    for p, depth, rates in FINER:
        assert min(rates) < best[p, depth] < max(rates)
        assert best[p, depth] in rates
