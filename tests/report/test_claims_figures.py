"""Criteria of the printed figures (emulation, explicit acceleration, identity starts): each holds
of the printed curves themselves, and fails on tables that say otherwise."""

from itertools import product

import numpy as np
import pytest
from made_up_runs import PRINTED, axis, judge, printed_on, run, table

from accel_core.initializers import NearZero
from report.claims import CLAIMS, emulation, explicit, identity, races
from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, UNDECIDED, UNTESTED
from report.experiments import experiment

BUDGETS = {"fig3": 250_000, "fig5_explicit": 1_000_000, "fig5_adam": 200_000, "fig6": 100_000}


def curve(name, figure):
    """A printed curve; the two of width 100 that are hidden below others stand as width 1."""
    if (figure, name) in {("fig3_l2", "depth2_width100"), ("fig3_l4", "depth2_width100")}:
        name = "depth2_width1"
    return printed_on(BUDGETS[figure.rsplit("_", 1)[0].removesuffix("_identity")], figure, name)


def emulations():
    """(p, curve, columns) of everything that the experiment on emulation holds."""
    for p, depth in product(emulation.LOSSES, emulation.DEPTHS):
        for width in emulation.WIDTHS:
            yield p, f"depth{depth}_width{width}", emulation.network(depth, width)
        starts = [emulation.SAME_START[depth, w] for w in emulation.WIDTHS]
        for start in (*starts, emulation.OTHER_START[depth], NearZero(0.01)):
            yield p, f"depth{depth}_emulation", emulation.emulation(depth, start)


def records(change=lambda name, model, values: values, wide=None):
    """All experiments of these chapters from the printed curves, each passed through `change`; at
    width 128 of the identity starts through `wide`."""

    def of(name, figure, model, change=change):
        return model, change(name, model, curve(name, figure))

    found = {"paper_curves": PRINTED}
    models = [of(name, f"fig3_l{p}", m | {"p": float(p)}) for p, name, m in emulations()]
    found["emulation"] = table(models, BUDGETS["fig3"])
    for name, rules in explicit.LAYERS.items():
        layers = {f"{known.lower()}_depth1": {"depth": 1, "rule": r} for known, r in rules.items()}
        layers["gd_depth3"] = explicit.DEEP
        models = [of(each, "fig5_explicit_l4", model) for each, model in layers.items()]
        found[name] = table(models, BUDGETS["fig5_explicit"])
    for name, rule in explicit.ADAMS.items():
        layers = {f"adam_depth{d}": {"depth": d, "rule": rule} for d in (1, 2, 3)}
        models = [of(each, "fig5_adam_l4", model) for each, model in layers.items()]
        found[name] = table(models, BUDGETS["fig5_adam"])
    for name, width, how in (("identity", 1, change), ("identity_wide", 128, wide or change)):
        models = [
            of(each, "fig6_identity_l4", m | {"width": width if m["depth"] > 1 else 1}, how)
            for each, m in identity.CURVES.items()
        ]
        found[name] = table(models, BUDGETS["fig6"])
    return found


@pytest.fixture(scope="module")
def printed():
    return records()


OWN = [c.id for c in CLAIMS if c.id.split("-")[0] in ("emulation", "explicit", "identity")]
# in print depth 3 is ahead of AdaDelta late only: one comparison of two, three of four
LATE_ONLY = {"explicit-adadelta": UNDECIDED, "explicit-ava-optimizers": CONDITION}


@pytest.mark.parametrize("id", OWN)
def test_the_printed_figures_reproduce_what_they_show(id, printed):
    verdict = judge(id, printed)
    assert verdict.outcome == LATE_ONLY.get(id, REPRODUCED), verdict.condition
    assert judge(id, {}).outcome == UNTESTED


# share of the budget → depth 3 over AdaGrad, AdaDelta; with Adam 2 over 1, 3 over 1, 3 over 2;
# from identity depth 4 over 1, 8 over 1, 8 over 4
PRINTED_SPEEDUPS = {
    0.1: (0.85, 0.45, 0.91, 0.88, 0.96, 0.56, 0.79, 1.41),
    0.2: (1.23, 0.60, 1.12, 1.17, 1.04, 0.80, 1.15, 1.44),
    0.4: (1.81, 0.87, 1.46, 1.64, 1.13, 1.10, 1.51, 1.38),
    0.8: (2.62, 1.35, 1.84, 2.08, 1.13, 1.35, 1.84, 1.36),
}


@pytest.mark.parametrize("share", PRINTED_SPEEDUPS)
def test_printed_speedups_are_those_that_the_thresholds_were_reasoned_from(share, printed):
    four, eight = "depth4_identity", "depth8_identity"
    asked = {
        "explicit": explicit.explicit_races("explicit", ("AdaGrad", "AdaDelta"), (share,)),
        "adam": explicit.adam_races("adam", ((2, 1), (3, 1), (3, 2)), (share,)),
        "identity": identity.identity_races(
            (four, "depth1"), (eight, "depth1"), (eight, four), fractions=(share,)
        ),
    }
    found = [e for name, own in asked.items() for e in races.race_table(printed[name], own).speedup]
    assert tuple(round(each.median_low, 2) for each in found) == PRINTED_SPEEDUPS[share]


# the largest distance of two printed curves of a depth after a tenth of the axis, in dex: ℓ2, ℓ4
PRINTED_APART = {
    (2, "width1", "emulation"): (0.02, 0.02),
    (3, "width1", "emulation"): (0.07, 0.09),
    (3, "width100", "emulation"): (0.04, 0.06),
    (3, "width1", "width100"): (0.03, 0.03),
}


@pytest.mark.parametrize(("depth", "one", "other"), PRINTED_APART)
def test_printed_distances_are_those_that_the_threshold_was_reasoned_from(depth, one, other):
    found = []
    for p in (2, 4):
        curves = []
        for kind in (one, other):
            rows = PRINTED.query(f"figure == 'fig3_l{p}' and curve == 'depth{depth}_{kind}'")
            rows = rows.sort_values("iteration")
            curves.append((rows.iteration.to_numpy(), rows.value.to_numpy()))
        low = max(emulation.SKIPPED * BUDGETS["fig3"], *(c[0].min() for c in curves))
        at = np.geomspace(low, min(c[0].max() for c in curves), 400)
        logs = [np.interp(np.log(at), np.log(i), np.log10(v)) for i, v in curves]
        found.append(np.abs(logs[0] - logs[1]).max())
    assert tuple(round(dex, 2) for dex in found) == PRINTED_APART[depth, one, other]
    assert max(found) < emulation.NEAR


def times(factor, *names, p=None):
    """A change that multiplies curves whose name ends so, at one loss or both."""
    return lambda name, model, values: (
        values * factor if name.endswith(names) and p in (None, model.get("p")) else values
    )


def become(*names, of, factor=1.0):
    """A change that puts another printed curve in the place of these."""
    figure = "fig6_identity_l4" if "adam" not in of and "gd" not in of else (
        "fig5_adam_l4" if "adam" in of else "fig5_explicit_l4"
    )  # fmt: skip
    return lambda name, model, values: curve(of, figure) * factor if name in names else values


def left(share):
    """Depth 8 from near zero, but for what is left of it after half of the budget."""
    step = np.where(axis(BUDGETS["fig6"]) > 5e4, share, 1)
    return lambda name, model, values: step * curve("depth8", "fig6_identity_l4") if (
        name == "depth8") else values  # fmt: skip


ADAGRAD, ADADELTA, DEEP = "adagrad_depth1", "adadelta_depth1", "gd_depth3"
COUNTEREXAMPLES = [
    # the emulation is off everywhere, off at one loss; so are widths; a curve misses by 0.06 dex
    (times(1.6, "emulation"), "emulation-same", NOT_REPRODUCED),
    (times(1.6, "emulation", p=4.0), "emulation-same", CONDITION),
    (times(1.6, "width100"), "emulation-width", NOT_REPRODUCED),
    (times(1.6, "depth3_width100", p=4.0), "emulation-width", CONDITION),
    (times(10**0.06, "width1"), "emulation-curve-l2-depth3-width1", NOT_REPRODUCED),
    # models at rest do not coincide
    (lambda name, model, values: np.ones_like(values), "emulation-same", NOT_REPRODUCED),
    # `table` has three times the curve at the rate below the stated one
    (times(1 / 3, "width1"), "emulation-curve-l4-depth3-width1", CONDITION),
    (become(ADAGRAD, of=DEEP), "explicit-adagrad", UNDECIDED),  # equally fast
    (become(ADAGRAD, of=DEEP, factor=0.9), "explicit-adagrad", NOT_REPRODUCED),
    (become(ADADELTA, of=DEEP, factor=0.3), "explicit-adadelta", NOT_REPRODUCED),
    (become(ADADELTA, of=DEEP, factor=0.3), "explicit-abstract", REPRODUCED),
    (become(ADADELTA, of=DEEP, factor=0.3), "explicit-ava-optimizers", UNDECIDED),
    (become(ADADELTA, ADAGRAD, of=DEEP, factor=0.3), "explicit-abstract", NOT_REPRODUCED),
    (become("adam_depth2", of="adam_depth1"), "explicit-adam", UNDECIDED),
    (become("adam_depth2", "adam_depth3", of="adam_depth1", factor=1.1), "explicit-adam",
     NOT_REPRODUCED),
    (become("adam_depth2", "adam_depth3", of="adam_depth1", factor=0.9), "explicit-adam-a-lot",
     NOT_REPRODUCED),
    (become("adam_depth3", of="adam_depth2", factor=1.1), "explicit-adam-order", UNDECIDED),
    (times(10**0.06, DEEP), "explicit-curve-gd-depth3", NOT_REPRODUCED),
    (times(10**0.04, DEEP), "explicit-curve-gd-depth3", REPRODUCED),
    (become("depth8", of="depth1"), "identity-depth8-fails", NOT_REPRODUCED),
    (left(0.89), "identity-depth8-fails", NOT_REPRODUCED),
    (left(0.91), "identity-depth8-fails", REPRODUCED),
    (become("depth8_identity", of="depth8"), "identity-rescues-depth8", NOT_REPRODUCED),
    (become("depth4", of="depth4_identity", factor=0.9), "identity-over-near-zero", NOT_REPRODUCED),
    (become("depth4_identity", of="depth1", factor=1.1), "identity-depth4", NOT_REPRODUCED),
    (become("depth8_identity", of="depth1", factor=1.1), "identity-depth8", NOT_REPRODUCED),
    (become("depth8_identity", of="depth4_identity", factor=1.1), "identity-deeper",
     NOT_REPRODUCED),
    (times(10**0.06, "depth1"), "identity-curve-depth1", NOT_REPRODUCED),
]  # fmt: skip


@pytest.mark.parametrize(("change", "id", "outcome"), COUNTEREXAMPLES)
def test_counterexamples(change, id, outcome):
    verdict = judge(id, records(change))
    assert verdict.outcome == outcome, verdict.condition


def test_an_independent_start_that_escapes_late_fails_where_the_same_start_does_not():
    others = {repr(start) for start in emulation.OTHER_START.values()}
    at = axis(BUDGETS["fig3"])
    runs = records(
        lambda name, model, values: (
            np.interp(at / 4, at, values) if model.get("start") in others else values
        )
    )
    assert judge("emulation-same", runs).outcome == REPRODUCED
    assert judge("emulation-independent", runs).outcome == NOT_REPRODUCED


def edited(runs, name, chosen, **columns):
    """`runs` with cells of one table replaced, in the rows `chosen(table)` gives."""
    frame = runs[name].copy()
    for at in chosen(frame):
        for column, value in columns.items():
            frame.at[at, column] = value
    return runs | {name: frame}


def test_single_starts_are_a_condition(printed):
    first = printed["emulation"].iteration[0][:10]
    runs = edited(
        printed, "emulation",
        lambda f: f.index[f.p.eq(4) & f.depth.eq(2) & f.width.eq(1) & f.rate.eq(1e-3)][:1],
        status="diverged", final=np.inf, iteration=first, distance=np.ones(10),
    )  # fmt: skip
    verdict = judge("emulation-same", runs)
    assert verdict.outcome == CONDITION
    assert verdict.condition.endswith("for the median start only")
    down = curve("depth1", "fig6_identity_l4")
    near_zero = identity.NEAR_ZERO
    runs = edited(
        printed, "identity",
        lambda f: f.index[f.depth.eq(8) & f.start.eq(near_zero) & f.rate.eq(1e-3)][:1],
        distance=down,
    )  # fmt: skip
    assert judge("identity-depth8-fails", runs).condition == "single starts train at width 1"
    off = records(times(10**0.06, "depth1"))
    two = edited(
        off, "identity", lambda f: f.index[f.depth.eq(1) & f.rate.eq(1e-3)][:2], distance=down
    )
    verdict = judge("identity-curve-depth1", two)
    assert verdict.condition == "with 2 of 5 starts at the rate 0.001"
    assert verdict.evidence[explicit.FIRST_WRITTEN] == NOT_REPRODUCED


def test_what_another_width_or_framework_changes_is_a_condition(printed):
    wide = judge("identity-depth8-fails", records(wide=become("depth8", of="depth1")))
    assert (wide.outcome, "at width 128 most starts train" in wide.condition) == (CONDITION, True)
    other = records(become(ADAGRAD, of=DEEP, factor=0.3))
    torch = judge("explicit-adagrad", printed | {"explicit_torch": other["explicit_torch"]})
    assert torch.outcome == CONDITION and torch.condition.startswith(explicit.TORCH)
    off = records(times(2.0, ADAGRAD)) | {"explicit_torch": printed["explicit_torch"]}
    assert judge("explicit-curve-adagrad-depth1", off).condition == (
        "with PyTorch's constants, rate 0.001"
    )
    adam = printed["adam"]
    verdict = judge("explicit-adam", printed | {"adam": adam[adam.rate.le(1e-3)]})
    assert "tuned on the edge of the grid: with Adam, depth 2 over 1" in verdict.condition


def test_a_diverged_run_fails(printed):
    frame, model = printed["identity"], {"depth": 8, "start": identity.NEAR_ZERO}
    down = curve("depth1", "fig6_identity_l4")
    gone = [run(model, down, s, r, 100_000, diverged=True) for s in range(5) for r in (1e-4, 1e-3)]
    kept = frame[~(frame.depth.eq(8) & frame.start.eq(identity.NEAR_ZERO))].to_dict("records")
    runs = printed | {"identity": type(frame)(kept + gone)}
    assert judge("identity-depth8-fails", runs).outcome == REPRODUCED


@pytest.mark.parametrize(
    ("id", "missing"),
    [("explicit-adagrad", "explicit"), ("explicit-adagrad", "explicit_torch"),
     ("identity-depth8", "identity_wide")],
)  # fmt: skip
def test_missing_runs_and_starts_are_no_verdict(id, missing, printed):
    few = printed[missing].query("seed < 3")
    assert judge(id, printed | {missing: few}).outcome == UNTESTED
    assert judge(id, {k: v for k, v in printed.items() if k != missing}).outcome == UNTESTED


def test_the_models_of_the_criteria_are_those_of_the_registry(printed):
    for name, made in printed.items():
        if name != "paper_curves":
            held = {
                (s.problem.p, s.run.depth, s.run.width, repr(s.run.rule), repr(s.run.start))
                for s in experiment(name).specs()
            }
            assert set(zip(made.p, made.depth, made.width, made.rule, made.start)) == held, name  # noqa: B905
