"""Criteria of emulation and width: the printed curves, and tables that say otherwise."""

import numpy as np
import pytest
from made_up_runs import PRINTED, axis, printed_on, table

from accel_core.initializers import EndToEndOf, NearZero
from accel_core.models import Architecture, end_to_end
from report.claims import emulation
from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, UNTESTED
from report.experiments import experiment

BUDGET = 250_000


def printed(p, depth, kind):
    """A printed curve; the two of width 100 that are hidden below others stand as width 1."""
    hidden = (p, depth, kind) in {(2, 2, "width100"), (4, 2, "width100")}
    return printed_on(BUDGET, f"fig3_l{p}", f"depth{depth}_{'width1' if hidden else kind}")


def models():
    """(p, kind, depth, columns) of everything the experiment holds."""
    for p in emulation.LOSSES:
        for depth in emulation.DEPTHS:
            for width in emulation.WIDTHS:
                yield p, f"width{width}", depth, emulation.network(depth, width)
            starts = [emulation.SAME_START[depth, w] for w in emulation.WIDTHS]
            for start in (*starts, emulation.OTHER_START[depth], NearZero(0.01)):
                yield p, "emulation", depth, emulation.emulation(depth, start)


def experiments(change=lambda p, kind, depth, model, curve: curve):
    """The experiment from the printed curves, each passed through `change`."""
    rows = []
    for p, kind, depth, model in models():
        curve = change(p, kind, depth, model, printed(p, depth, kind))
        rows.append((model | {"p": float(p)}, curve))
    return {"emulation": table(rows, BUDGET), "paper_curves": PRINTED}


def judge(name, runs):
    (claim,) = [c for c in emulation.CLAIMS if c.id == f"emulation-{name}"]
    return claim.judge(runs)


@pytest.mark.parametrize("name", [c.id.removeprefix("emulation-") for c in emulation.CLAIMS])
def test_the_printed_figure_reproduces_what_it_shows(name):
    verdict = judge(name, experiments())
    assert verdict.outcome == REPRODUCED, verdict.condition


# the largest distance of two printed curves of a depth, in dex: at ℓ2, at ℓ4
PRINTED_APART = {
    (2, "width1", "emulation"): (0.02, 0.02),
    (3, "width1", "emulation"): (0.07, 0.09),
    (3, "width100", "emulation"): (0.04, 0.06),
    (3, "width1", "width100"): (0.03, 0.03),
}


@pytest.mark.parametrize("pair", PRINTED_APART)
def test_printed_distances_are_those_that_the_threshold_was_reasoned_from(pair):
    depth, one, other = pair
    found = [apart_printed(p, f"depth{depth}_{one}", f"depth{depth}_{other}") for p in (2, 4)]
    assert tuple(round(dex, 2) for dex in found) == PRINTED_APART[pair]
    assert max(found) < emulation.NEAR


def apart_printed(p, one, other):
    """Largest distance of two printed curves in dex where both are legible, after 10 %."""
    curves = []
    for name in (one, other):
        chosen = PRINTED.figure.eq(f"fig3_l{p}") & PRINTED.curve.eq(name)
        rows = PRINTED[chosen].sort_values("iteration")
        curves.append((rows.iteration.to_numpy(), rows.value.to_numpy()))
    low = max(emulation.SKIPPED * BUDGET, *(c[0].min() for c in curves))
    at = np.geomspace(low, min(c[0].max() for c in curves), 400)
    logs = [np.interp(np.log(at), np.log(i), np.log10(v)) for i, v in curves]
    return np.abs(logs[0] - logs[1]).max()


def shifted(kind, factor, depths=(2, 3), losses=(2, 4)):
    def change(p, of, depth, model, curve):
        return curve * factor if of == kind and depth in depths and p in losses else curve

    return change


COUNTEREXAMPLES = {
    "emulation a factor 1.6 off": (shifted("emulation", 1.6), "same", NOT_REPRODUCED),
    "emulation off at ℓ4 only": (shifted("emulation", 1.6, losses=(4,)), "same", CONDITION),
    "width 100 a factor 1.6 off": (shifted("width100", 1.6), "width", NOT_REPRODUCED),
    "width 100 off at depth 3, ℓ4": (
        shifted("width100", 1.6, depths=(3,), losses=(4,)), "width", CONDITION,
    ),
    "a curve 0.06 dex off": (shifted("width1", 10**0.06), "curve-l2-depth3-width1", NOT_REPRODUCED),
}  # fmt: skip


@pytest.mark.parametrize("case", COUNTEREXAMPLES)
def test_counterexamples(case):
    change, name, outcome = COUNTEREXAMPLES[case]
    verdict = judge(name, experiments(change))
    assert verdict.outcome == outcome, verdict.condition


def test_models_at_rest_do_not_coincide():
    still = experiments(lambda p, kind, depth, model, curve: np.full(axis(BUDGET).size, 1.0))
    assert judge("same", still).outcome == NOT_REPRODUCED


def test_an_independent_start_that_escapes_late_fails_where_the_same_start_does_not():
    def late(p, kind, depth, model, curve):
        other = model.get("start") == repr(emulation.OTHER_START[depth])
        return np.interp(axis(BUDGET) / 4, axis(BUDGET), curve) if other else curve

    runs = experiments(late)
    assert judge("same", runs).outcome == REPRODUCED
    assert judge("independent", runs).outcome == NOT_REPRODUCED


def test_a_single_start_that_diverges_is_a_condition():
    runs = experiments()
    frame = runs["emulation"].copy()
    at = frame.index[frame.p.eq(4) & frame.depth.eq(2) & frame.width.eq(1) & frame.rate.eq(1e-3)][0]
    frame.at[at, "status"], frame.at[at, "final"] = "diverged", np.inf
    for column in ("iteration", "distance"):
        frame.at[at, column] = frame.at[at, column][:10]
    verdict = judge("same", runs | {"emulation": frame})
    assert verdict.outcome == CONDITION
    assert verdict.condition.startswith("ℓ4, depth 2, width 1 and its emulation")
    assert verdict.condition.endswith("for the median start only")


def test_a_rate_other_than_the_stated_one_is_a_condition():
    # `table` has three times the curve at the rate below the stated one
    third = experiments(shifted("width1", 1 / 3))
    verdict = judge("curve-l4-depth3-width1", third)
    assert (verdict.outcome, verdict.condition) == (CONDITION, "with width 1, rate 0.0001")


def test_missing_runs_are_no_verdict():
    assert judge("same", {}).outcome == UNTESTED


def test_the_models_of_the_criteria_are_those_of_the_registry():
    held = {
        (s.problem.p, s.run.depth, s.run.width, repr(s.run.rule), repr(s.run.start))
        for s in experiment("emulation").specs()
    }
    judged = {
        (p, m["depth"], m.get("width", 1), m["rule"], m.get("start", repr(NearZero(0.01))))
        for p, _, _, m in models()
    }
    assert held == judged


@pytest.mark.parametrize("width", [1, 7])
def test_the_emulation_starts_where_the_network_of_its_seed_does(width):
    network = Architecture(3, width)
    weights, _ = network.unpack(network.start(NearZero(0.01), 4, 5), 5)
    layer = Architecture(1).start(EndToEndOf(0.01, 3, width), 4, 5)
    assert np.array_equal(layer, end_to_end(weights).ravel())
    other = Architecture(1).start(EndToEndOf(0.01, 3, width, independent=True), 4, 5)
    assert not np.isin(other, layer).any()
    assert np.allclose(np.linalg.norm(other), np.linalg.norm(layer), rtol=100)


def test_the_emulations_start_is_for_a_single_layer():
    with pytest.raises(ValueError, match=r"EndToEndOf\(.*starts a single layer, and there are 2"):
        Architecture(2).start(EndToEndOf(), 0, 5)
