"""Criteria of identity starts: the printed curves, and tables that say otherwise."""

import numpy as np
import pytest
from made_up_runs import PRINTED, axis, printed_on, run, table

from report.claims import identity, races
from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, UNTESTED
from report.experiments import experiment

BUDGET = 100_000


def curve(name):
    return printed_on(BUDGET, "fig6_identity_l4", name)


def experiments(wide=None, **curves):
    """Both widths from the printed curves, some replaced; `wide`: those of width 128."""

    def frame(width, replaced):
        return table(
            [
                (model | {"width": width if model["depth"] > 1 else 1}, replaced.get(n, curve(n)))
                for n, model in identity.CURVES.items()
            ],
            BUDGET,
        )

    return {
        "paper_curves": PRINTED,
        "identity": frame(1, curves),
        "identity_wide": frame(128, curves if wide is None else wide),
    }


def judge(name, runs):
    (claim,) = [c for c in identity.CLAIMS if c.id == f"identity-{name}"]
    return claim.judge(runs)


@pytest.mark.parametrize("name", [c.id.removeprefix("identity-") for c in identity.CLAIMS])
def test_the_printed_figure_reproduces_what_it_shows(name):
    verdict = judge(name, experiments())
    assert verdict.outcome == REPRODUCED, verdict.condition


# share of the budget → from identity: depth 4 over 1, 8 over 1, 8 over 4
PRINTED_SPEEDUPS = {
    0.1: (0.56, 0.79, 1.41),
    0.2: (0.80, 1.15, 1.44),
    0.4: (1.10, 1.51, 1.38),
    0.8: (1.35, 1.84, 1.36),
}


@pytest.mark.parametrize("share", PRINTED_SPEEDUPS)
def test_printed_speedups_are_those_that_were_known_beforehand(share):
    four, eight = "depth4_identity", "depth8_identity"
    pairs = (four, "depth1"), (eight, "depth1"), (eight, four)
    instances = identity.identity_races(*pairs, fractions=(share,))
    found = races.race_table(experiments()["identity"], instances).speedup
    assert tuple(round(each.median_low, 2) for each in found) == PRINTED_SPEEDUPS[share]


FLAT, DOWN = curve("depth8"), curve("depth1")
COUNTEREXAMPLES = {
    "depth 8 trains from near zero": ({"depth8": DOWN}, "depth8-fails", NOT_REPRODUCED),
    "depth 8 loses a tenth and a little": (
        {"depth8": np.where(axis(BUDGET) > 5e4, 0.89, 1) * FLAT}, "depth8-fails", NOT_REPRODUCED,
    ),
    "depth 8 loses less than a tenth": (
        {"depth8": np.where(axis(BUDGET) > 5e4, 0.91, 1) * FLAT}, "depth8-fails", REPRODUCED,
    ),
    "the identity offset does not help": (
        {"depth8_identity": FLAT}, "rescues-depth8", NOT_REPRODUCED,
    ),
    "near zero is as good": (
        {"depth4": curve("depth4_identity")}, "over-near-zero", NOT_REPRODUCED,
    ),
    "depth 4 is a single layer's": ({"depth4_identity": DOWN}, "depth4", NOT_REPRODUCED),
    "depth 8 is a single layer's": ({"depth8_identity": DOWN}, "depth8", NOT_REPRODUCED),
    "depth 8 is depth 4's": (
        {"depth8_identity": curve("depth4_identity")}, "deeper", NOT_REPRODUCED,
    ),
    "a curve 0.06 dex off": ({"depth1": DOWN * 10**0.06}, "curve-depth1", NOT_REPRODUCED),
}  # fmt: skip


@pytest.mark.parametrize("case", COUNTEREXAMPLES)
def test_counterexamples(case):
    curves, name, outcome = COUNTEREXAMPLES[case]
    verdict = judge(name, experiments(**curves))
    assert verdict.outcome == outcome, verdict.condition


def test_a_width_at_which_depth_8_trains_is_a_condition():
    verdict = judge("depth8-fails", experiments(wide={"depth8": DOWN}))
    assert verdict.outcome == CONDITION
    assert "at width 128 most starts train" in verdict.condition


def test_a_single_start_that_trains_is_a_condition():
    runs = experiments()
    frame = runs["identity"].copy()
    at = frame.index[frame.depth.eq(8) & frame.start.eq(identity.NEAR_ZERO) & frame.rate.eq(1e-3)]
    frame.at[at[0], "distance"] = DOWN
    verdict = judge("depth8-fails", runs | {"identity": frame})
    assert (verdict.outcome, verdict.condition) == (CONDITION, "single starts train at width 1")


def test_a_diverged_run_fails():
    runs = experiments()
    frame = runs["identity"]
    deep = frame.depth.eq(8) & frame.start.eq(identity.NEAR_ZERO)
    model = {"depth": 8, "start": identity.NEAR_ZERO}
    gone = [run(model, DOWN, s, r, BUDGET, diverged=True) for s in range(5) for r in (1e-4, 1e-3)]
    kept = frame[~deep].to_dict("records")
    verdict = judge("depth8-fails", runs | {"identity": type(frame)(kept + gone)})
    assert verdict.outcome == REPRODUCED


def test_missing_width_is_no_verdict():
    runs = experiments()
    del runs["identity_wide"]
    assert judge("depth8", runs).outcome == UNTESTED


def test_the_models_of_the_criteria_are_those_of_the_registry():
    for name, width in ((identity.EXPERIMENT, 1), (identity.WIDE, 128)):
        models = {(s.run.depth, s.run.width, repr(s.run.start)) for s in experiment(name).specs()}
        assert models == {
            (m["depth"], width if m["depth"] > 1 else 1, m["start"])
            for m in identity.CURVES.values()
        }


def test_a_printed_curve_that_only_single_starts_follow_is_a_condition():
    runs = experiments(depth1=DOWN * 10**0.06)
    frame = runs["identity"].copy()
    for at in frame.index[frame.depth.eq(1) & frame.rate.eq(1e-3)][:2]:
        frame.at[at, "distance"] = DOWN
    verdict = judge("curve-depth1", runs | {"identity": frame})
    assert (verdict.outcome, verdict.condition) == (
        CONDITION,
        "with 2 of 5 starts at the rate 0.001",
    )
    assert verdict.evidence[identity.FIRST_WRITTEN] == NOT_REPRODUCED
