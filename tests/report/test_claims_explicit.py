"""Criteria of explicit acceleration and Adam: the printed curves, and tables that say otherwise."""

import pytest
from made_up_runs import PRINTED, printed_on, table

from report.claims import explicit, races
from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, UNTESTED
from report.experiments import experiment

LONG, SHORT = 1_000_000, 200_000
ADAGRAD, ADADELTA, DEEP = "adagrad_depth1", "adadelta_depth1", "gd_depth3"


def curve(name):
    adam = name.startswith("adam_")
    return printed_on(SHORT if adam else LONG, "fig5_adam_l4" if adam else "fig5_explicit_l4", name)


def experiments(drop=(), jitter=0.0, **curves):
    """The four experiments from the printed curves, some replaced by (curve of, factor)."""

    def of(name):
        source, factor = curves.get(name, (name, 1.0))
        return curve(source) * factor

    found = {"paper_curves": PRINTED}
    for name, rules in explicit.LAYERS.items():
        models = [(explicit.DEEP, of(DEEP))]
        models += [
            ({"depth": 1, "rule": rule}, of(f"{known.lower()}_depth1"))
            for known, rule in rules.items()
        ]
        found[name] = table(models, LONG, jitter)
    for name, rule in explicit.ADAMS.items():
        models = [({"depth": d, "rule": rule}, of(f"adam_depth{d}")) for d in (1, 2, 3)]
        found[name] = table(models, SHORT, jitter)
    return {name: frame for name, frame in found.items() if name not in drop}


def judge(name, runs):
    (claim,) = [c for c in explicit.CLAIMS if c.id == f"explicit-{name}"]
    return claim.judge(runs)


LATE_ONLY = "not for depth 3 over a single layer with AdaDelta, target at 40% of the"


@pytest.mark.parametrize("name", [c.id.removeprefix("explicit-") for c in explicit.CLAIMS])
def test_the_printed_figures_reproduce_what_they_show(name):
    verdict = judge(name, experiments())
    if name in ("adadelta", "ava-optimizers"):
        assert verdict.outcome == CONDITION
        assert verdict.condition == f"{LATE_ONLY} budget"
    else:
        assert verdict.outcome == REPRODUCED, verdict.condition


# share of the budget → depth 3 over AdaGrad, AdaDelta; with Adam depth 2 over 1, 3 over 1, 3 over 2
PRINTED_SPEEDUPS = {
    0.1: (0.85, 0.45, 0.91, 0.88, 0.96),
    0.2: (1.23, 0.60, 1.12, 1.17, 1.04),
    0.4: (1.81, 0.87, 1.46, 1.64, 1.13),
    0.8: (2.62, 1.35, 1.84, 2.08, 1.13),
}


@pytest.mark.parametrize("share", PRINTED_SPEEDUPS)
def test_printed_speedups_are_those_that_the_thresholds_were_reasoned_from(share):
    runs = experiments()
    layers = explicit.explicit_races("explicit", ("AdaGrad", "AdaDelta"), (share,))
    adam = explicit.adam_races("adam", ((2, 1), (3, 1), (3, 2)), (share,))
    found = [
        *races.race_table(runs["explicit"], layers).speedup,
        *races.race_table(runs["adam"], adam).speedup,
    ]
    assert tuple(round(each.median_low, 2) for each in found) == PRINTED_SPEEDUPS[share]


# What is changed in the printed curves, and what it makes of a claim.
COUNTEREXAMPLES = {
    "AdaGrad is as fast as depth 3": ({ADAGRAD: (DEEP, 1.0)}, "adagrad", NOT_REPRODUCED),
    "AdaDelta is far ahead": ({ADADELTA: (DEEP, 0.3)}, "adadelta", NOT_REPRODUCED),
    "one of the two is ahead": ({ADADELTA: (DEEP, 0.3)}, "abstract", REPRODUCED),
    "one of the two is ahead of all": ({ADADELTA: (DEEP, 0.3)}, "ava-optimizers", CONDITION),
    "both are ahead": (
        {ADADELTA: (DEEP, 0.3), ADAGRAD: (DEEP, 0.3)}, "abstract", NOT_REPRODUCED,
    ),
    "depth 2 gains nothing": ({"adam_depth2": ("adam_depth1", 1.0)}, "adam", CONDITION),
    "depth gains nothing": (
        {f"adam_depth{d}": ("adam_depth1", 1.0) for d in (2, 3)}, "adam", NOT_REPRODUCED,
    ),
    "depth gains a little": (
        {f"adam_depth{d}": ("adam_depth1", 0.9) for d in (2, 3)}, "adam-a-lot", NOT_REPRODUCED,
    ),
    "depth 3 is behind depth 2": ({"adam_depth3": ("adam_depth2", 1.1)}, "adam-order", CONDITION),
    "a curve 0.06 dex off": ({DEEP: (DEEP, 10**0.06)}, "curve-gd-depth3", NOT_REPRODUCED),
    "a curve 0.04 dex off": ({DEEP: (DEEP, 10**0.04)}, "curve-gd-depth3", REPRODUCED),
}  # fmt: skip


def test_what_the_criterion_said_as_first_written_stays_in_the_evidence():
    verdict = judge("abstract", experiments(**{ADADELTA: (DEEP, 0.3)}))
    assert verdict.evidence[explicit.FIRST_WRITTEN] == CONDITION
    both = judge("abstract", experiments(**{ADADELTA: (DEEP, 0.3), ADAGRAD: (DEEP, 0.3)}))
    assert both.condition.endswith(f"as first written: {NOT_REPRODUCED}")


@pytest.mark.parametrize("case", COUNTEREXAMPLES)
def test_counterexamples(case):
    curves, name, outcome = COUNTEREXAMPLES[case]
    verdict = judge(name, experiments(**curves))
    assert verdict.outcome == outcome, verdict.condition


def test_pytorch_constants_that_turn_the_race_are_a_condition():
    runs = experiments()
    other = experiments(**{ADAGRAD: (DEEP, 0.3)})
    verdict = judge("adagrad", runs | {"explicit_torch": other["explicit_torch"]})
    assert verdict.outcome == CONDITION
    assert verdict.condition.startswith(f"{explicit.TORCH}: not for ")


def test_a_curve_that_only_pytorch_constants_give_is_a_condition():
    runs = experiments(**{ADAGRAD: (ADAGRAD, 2.0)})
    verdict = judge(
        "curve-adagrad-depth1", runs | {"explicit_torch": experiments()["explicit_torch"]}
    )
    assert (verdict.outcome, verdict.condition) == (
        CONDITION,
        "with PyTorch's constants, rate 0.001",
    )


def test_the_edge_of_the_grid_is_a_condition():
    runs = experiments()
    frame = runs["adam"]
    verdict = judge("adam", runs | {"adam": frame[frame.rate.le(1e-3)]})
    assert verdict.outcome == CONDITION
    assert "tuned on the edge of the grid: with Adam, depth 2 over 1 (largest rate)" in (
        verdict.condition
    )


@pytest.mark.parametrize("missing", ["explicit", "explicit_torch"])
def test_missing_runs_are_no_verdict(missing):
    assert judge("adagrad", experiments(drop=[missing])).outcome == UNTESTED


def test_fewer_starts_than_the_protocols_are_no_verdict():
    runs = experiments()
    few = runs["explicit"].query("seed < 3")
    assert judge("adagrad", runs | {"explicit": few}).outcome == UNTESTED


def test_the_models_of_the_criteria_are_those_of_the_registry():
    for name, rules in explicit.LAYERS.items():
        specs = experiment(name).specs()
        assert {repr(s.run.rule) for s in specs if s.run.depth == 1} == set(rules.values())
        deep = {(s.run.depth, repr(s.run.rule)) for s in specs if s.run.depth > 1}
        assert deep == {(explicit.DEEP["depth"], explicit.DEEP["rule"])}
    for name, rule in explicit.ADAMS.items():
        assert {repr(s.run.rule) for s in experiment(name).specs()} == {rule}


def test_depth_3_under_gradient_descent_is_computed_once():
    tuned = {spec.key for spec in experiment("tuned_rates").specs()}
    deep = [spec for spec in experiment("explicit").specs() if spec.run.depth == 3]
    assert deep and {spec.key for spec in deep} <= tuned
