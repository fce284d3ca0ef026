"""Sweeps and the re-check of what they recorded, on short ℓ2 runs that need no download."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from accel_core.rules import Adam, EndToEnd, GradientDescent, Momentum
from accel_core.statistics import tune
from report import compute, recheck, work
from report.experiments import ProblemSpec, Spec, Sweep, problems, recorded, segments, sweeps
from report.experiments.tuned_rates import FINER
from report.record import Record, RecordError

SWEEP = Sweep("short", 3_000, p=(2.0,), depth=(1, 2), rate=(1e-3, 1e-2, 0.5), seeds=(0, 1))
SPECS = SWEEP.specs()


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    found = {r.key: r for piece in Spec.cut(SPECS) for r in compute.run_piece(piece, folder)[0]}
    return {spec.key: found[spec.key] for spec in SPECS}


def test_keys_tell_every_setting_apart():
    assert len({spec.key for spec in SPECS}) == len(SPECS) == 12
    spec = SPECS[0]
    others = [
        replace(spec, iterations=3_001),
        replace(spec, problem=ProblemSpec(trimmed=True)),
        *(
            replace(spec, run=replace(spec.run, **{name: value}))
            for name, value in {"rate": 2e-3, "seed": 7, "bias": True, "weight_decay": 0.1}.items()
        ),
    ]
    assert len({spec.key, *(other.key for other in others)}) == 7
    assert spec.key == Spec(spec.problem, spec.run, spec.iterations).key


def test_shards_hold_every_run_once():
    pieces = Spec.cut(SPECS)
    assert sorted(s.key for piece in pieces for s in piece) == sorted(s.key for s in SPECS)
    assert max(map(len, pieces)) <= Spec.together


def test_what_is_computed_is_kept_and_not_computed_again(monkeypatch):
    computed = compute.compute(SPECS, "short", workers=1, progress=False)
    monkeypatch.setattr(compute, "run_piece", None)  # the expensive step would raise
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
    specs = replace(SWEEP, depth=depth, rate=(1e-2, 0.5), seeds=(0,), rule=(rule,))
    (piece,) = Spec.cut(specs.specs())
    undisturbed, name = compute.run_piece(piece, tmp_path, every=np.inf)
    training = sweeps.Training(piece)
    training.recorder.run(done)
    compute.save(tmp_path / name, piece, training)
    resumed, _ = compute.run_piece(piece, tmp_path)
    assert [row.provenance["resumed_at"] for row in resumed] == [done] * len(piece)
    for row, other in zip(resumed, undisturbed, strict=True):
        assert other.provenance["resumed_at"] == 0
        assert row.numbers() == other.numbers()


@pytest.mark.parametrize("other", ["data", "code"])
def test_a_checkpoint_of_other_data_or_code_is_passed_over(tmp_path, rows, other, monkeypatch):
    """What damages its file does is `test_campaign`'s."""
    piece, *_ = Spec.cut(SPECS)
    training = sweeps.Training(piece)
    training.recorder.run(100)
    training.batch.state()["theta"][:] += 1
    with monkeypatch.context() as patch:
        if other == "data":
            patch.setattr(ProblemSpec, "digest", lambda _: "of somebody else")
        else:
            patch.setattr(compute, "software", lambda: {"accel_core": "another"})
        compute.save(tmp_path / compute.checkpoint(piece), piece, training)
    found, _ = compute.run_piece(piece, tmp_path)
    assert all(row.numbers() == rows[row.key].numbers() for row in found)


def test_the_run_table_says_how_each_run_ended(rows):
    table = SWEEP.table(rows).set_index("key")
    assert set(table.start_name) == {"near_zero"} and set(table.start_std) == {0.01}
    assert set(table.rule_name) == {"gradient_descent"}
    for spec in SPECS:
        row = table.loc[spec.key]
        assert (row.status == "diverged") == (spec.run.rate == 0.5)
        assert np.isinf(row.final) == (row.status == "diverged")
        assert row.iteration[0] == 0
        assert len(row.iteration) == len(row.distance)
        assert (row.distance > 0).all()


def test_the_recheck_agrees_with_what_was_computed(rows):
    result = check(rows)
    assert result.runs == 12
    assert result.values > 12 * 60
    assert result.worst < segments.SAME_DATA


def check(rows, specs=SPECS):
    return recheck.recheck(SWEEP, rows, np.random.default_rng(0), specs)


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
    edited = replace(row, **{group: getattr(row, group) | {name: values}})
    Record(tmp_path / "record", indexed=True).add([edited], "short")  # all checksums fit
    kept = Record(tmp_path / "record", indexed=True).find([spec.key])
    with pytest.raises(RecordError, match=f"{spec.key}.*computed again.*make record"):
        check(kept, [spec])


def test_the_recheck_covers_the_optimum(rows):
    row = rows[SPECS[0].key]
    edited = replace(row, summary=row.summary | {"optimum": row.summary["optimum"] * 1.01})
    with pytest.raises(RecordError, match=SPECS[0].key):
        check({SPECS[0].key: edited}, SPECS[:1])


def of(rows, depth, rate):
    spec = next(s for s in SPECS if (s.run.depth, s.run.rate) == (depth, rate))
    return spec, rows[spec.key]


@pytest.mark.parametrize("depth", [1, 2])
def test_the_recheck_finds_a_run_that_is_said_to_have_diverged(rows, depth):
    spec, row = of(rows, depth, 1e-2)
    cut = {name: values[:50] for name, values in row.series.items()}
    ends = {"status": "diverged", "diverged_at": int(row.series["iteration"][50]), "final": None}
    forged = replace(row, summary=row.summary | ends, series=cut, arrays={})
    assert forged.contradiction() is None
    with pytest.raises(RecordError, match=f"{spec.key}.*divergence, at iteration"):
        check({spec.key: forged}, [spec])


def test_the_recheck_finds_a_run_that_is_said_to_be_completed_and_a_moved_divergence(rows):
    spec, row = of(rows, 2, 0.5)
    points = rows[SPECS[0].key].series["iteration"]
    loss = np.geomspace(1.0, 0.5, len(points))
    loss[: len(row.series["loss"])] = row.series["loss"]
    ends = {"status": "completed", "diverged_at": None, "final": loss[-1]}
    forged = replace(
        row, summary=row.summary | ends, series={"iteration": points, "loss": loss}, arrays={}
    )
    later = replace(row, summary=row.summary | {"diverged_at": row.summary["diverged_at"] + 1})
    for edited in (forged, later):
        assert edited.contradiction() is None
        with pytest.raises(RecordError, match=spec.key):
            check({spec.key: edited}, [spec])


def test_the_recheck_finds_two_runs_that_have_changed_places(rows):
    (one, _), (_, another) = of(rows, 2, 1e-3), of(rows, 2, 1e-2)
    exchanged = replace(another, key=one.key, spec=one.spec())
    assert exchanged.contradiction() is None
    with pytest.raises(RecordError, match=one.key):
        check({one.key: exchanged}, [one])


def test_every_run_of_an_experiment_can_be_drawn(rows):
    """A statistic uses the runs that no page draws as well: the best rate is the best of all."""
    drawn = {
        work.key
        for seed in range(60)
        for work in recheck.drawn(SWEEP, rows, np.random.default_rng(seed), 2, 2)
    }
    assert drawn == set(rows)


def test_round_off_of_an_unstable_run_is_no_edit(rows, monkeypatch):
    """At the edge of stability another processor's last bits grow: the honest record must pass."""
    sweep = Sweep("edge", 2_000, p=(2.0,), depth=(2, 3), rate=(2e-3, 5e-3, 1e-2, 2e-2, 5e-2))
    specs = sweep.specs()
    honest = compute.fresh(specs)
    advance = sweeps.Batch.advance

    def shaken(batch, steps):
        """Rounds otherwise: moves every parameter by a last bit or two now and then."""
        advance(batch, steps)
        if steps:
            state = batch.state()
            bits = np.random.default_rng(batch.done).integers(-2, 3, len(state["theta"]))
            batch.restore(state | {"theta": state["theta"] * (1 + 1.1e-16 * bits)})

    monkeypatch.setattr(sweeps.Batch, "advance", shaken)
    rng = np.random.default_rng(1)
    recheck.recheck(sweep, honest, rng, specs)
    recheck._agree(segments.whole(specs, honest))


def test_renaming_a_class_and_adding_a_field_with_a_default_moves_no_key(monkeypatch):
    old = replace(SWEEP, rule=(Momentum(), Adam(epsilon_hat=True))).specs()
    keys = [spec.key for spec in old]

    @dataclass(frozen=True)
    class HeavyBall(Momentum):
        damping: float = 0.0

    @dataclass(frozen=True)
    class Model(sweeps.Run):
        averaged: int = 0

    monkeypatch.setitem(work.NAMES, HeavyBall, work.NAMES[Momentum])
    new = [
        replace(
            spec,
            run=Model(
                **vars(spec.run) | ({"rule": HeavyBall()} if spec.run.rule == Momentum() else {})
            ),
        )
        for spec in old
    ]
    assert [spec.key for spec in new] == keys
    changed = replace(new[0], run=replace(new[0].run, averaged=5))
    damped = replace(new[0], run=replace(new[0].run, rule=HeavyBall(damping=0.5)))
    assert len({keys[0], changed.key, damped.key}) == 3


def test_a_rule_without_a_name_in_the_record_says_where_to_give_it_one():
    @dataclass(frozen=True)
    class Mine(GradientDescent):
        pass

    spec = replace(SPECS[0], run=replace(SPECS[0].run, rule=Mine()))
    with pytest.raises(TypeError, match=r"Mine\(\) has no name.*report.work.NAMES"):
        spec.key  # noqa: B018


def test_the_kept_moments_are_compared_with_the_rows_and_with_their_checksum(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    monkeypatch.setattr(problems, "rows", lambda table: (X, X @ [1.0, 2.0, 3.0]))
    monkeypatch.setattr(problems, "MOMENTS", tmp_path / "moments.npz")
    monkeypatch.setattr(problems, "TABLES", ("mine",))
    problems.kept_moments.cache_clear()
    try:
        problems.keep_moments()
        assert problems.check_moments("mine") < 1e-14
        monkeypatch.setattr(problems, "rows", lambda table: (X * (1 + 1e-9), X @ [1.0, 2.0, 3.0]))
        with pytest.raises(RecordError, match="xx of mine is"):
            problems.check_moments("mine")
        content = bytearray(problems.MOMENTS.read_bytes())
        content[-30] ^= 1
        problems.MOMENTS.write_bytes(content)
        problems.kept_moments.cache_clear()
        with pytest.raises(RecordError, match=r"moments.npz does not have the checksum"):
            problems.kept_moments()
    finally:
        problems.kept_moments.cache_clear()


def test_the_finer_grid_lies_around_the_recorded_best_rates():
    best = tune(recorded("tuned_rates")).set_index(["p", "depth"]).rate
    for p, depth, rates in FINER:
        assert min(rates) < best[p, depth] < max(rates)
        assert best[p, depth] in rates
