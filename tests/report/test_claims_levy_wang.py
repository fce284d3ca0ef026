"""Criteria of the replications' and the blogs' claims on made-up records: both outcomes each."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_runs import judge

from report import claims
from report.claims import ava, draws
from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, UNDECIDED, UNTESTED
from report.claims.draws import ARCHITECTURES, DATASETS, DEEPER, DRAWS, SINGLE, Share

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((DRAWS, len(ARCHITECTURES)))
SPLITS = ("report", "drawn")
STARTS = ("default", "near_zero", "near_identity")


def level(dataset, start, rule, architecture):
    """As the sentences of the report would have it, in natural logs of the last loss."""
    depth, width = architecture
    value = 0.0
    if depth > 1:
        value = (0.3 if dataset == "ethanol" else -0.3) + 0.2 * np.log10(width) * np.sign(
            1 if dataset == "ethanol" else -1
        )
    if start == "near_identity" and depth > 1:
        value -= 0.1
    if rule == "Adam":
        value -= 0.5 + (0.2 * (depth > 1) if dataset == "abalone" else 0.0)
        if depth > 1:
            value = -0.9 + 0.1 * (dataset == "ethanol")
    return value


def table(level=level, spread=None, rise=1.0, **columns):
    """The table `levy_wang` in small: every cell that the criteria look at, 100 draws."""
    spread = spread or (lambda start: 0.03 if start == "default" else 0.005)
    found = []
    for dataset in DATASETS:
        for start in STARTS:
            for rule in ("SGD", "Adam") if start == "near_identity" else ("SGD",):
                for split in SPLITS:
                    for i, a in enumerate(ARCHITECTURES):
                        logs = level(dataset, start, rule, a) + spread(start) * NOISE[:, i]
                        found.append(
                            pd.DataFrame(
                                {
                                    "dataset": dataset, "p": 2.0, "activation": "linear",
                                    "start": start, "rule": rule, "split": split,
                                    "seed": range(DRAWS), "depth": a[0], "width": a[1],
                                    "final": np.exp(logs), "rise": rise if a[0] > 1 else 1.0,
                                    "held_out_ratio": np.exp(-0.1 + 0.01 * NOISE[:, i]),
                                    "rows": 2565 if dataset == "ethanol" else 4177,
                                    "training_rows": 2052 if dataset == "ethanol" else 3341,
                                    "features": 128 if dataset == "ethanol" else 10,
                                }
                                | columns
                            )
                        )  # fmt: skip
    return pd.concat(found, ignore_index=True)


@pytest.fixture(scope="module")
def theirs():
    """A record in which everything is as the report says."""
    return table(rise=np.where(np.arange(DRAWS) < 20, 2.0, 1.0))


@pytest.fixture(scope="module")
def coin():
    """A record in which nothing decides: every network the same, draws differ."""
    return table(level=lambda *_: 0.0, spread=lambda start: 0.03)


def verdict_of(id, **tables):
    """Where no draws with the raised grid are given, raising it changes nothing."""
    if "levy_wang" in tables and "levy_wang_raised" not in tables:
        tables["levy_wang_raised"] = raised(tables["levy_wang"])
    return judge(id, tables)


def outcome(id, **tables):
    return verdict_of(id, **tables).outcome


def raised(draws):
    return draws[draws.rule.eq("SGD") & draws.split.eq("report")].assign(grid="raised")


# what a record in which everything is as the report says makes of these, and coins do not
ON_DRAWS = (
    "lw-ethanol-one-layer", "lw-abalone-deeper", "lw-width", "lw-data-sets-disagree",
    "lw-less-stochastic", "lw-bursts", "lw-near-identity-faster", "lw-no-conclusion",
    "lw-adam-better", "lw-depends", "blog-2023-architecture", "blog-2023-data-set",
    "blog-2024-adam", "blog-2024-bursts", "blog-2024-depends", "blog-2024-not-wrong",
)  # fmt: skip


@pytest.mark.parametrize("id", ON_DRAWS)
def test_a_record_as_the_report_says(id, theirs):
    wanted = CONDITION if id in ("lw-depends", "blog-2024-depends") else REPRODUCED
    assert outcome(id, levy_wang=theirs) == wanted


@pytest.mark.parametrize("id", ON_DRAWS)
def test_a_record_of_coins(id, coin):
    assert outcome(id, levy_wang=coin) == NOT_REPRODUCED


@pytest.mark.parametrize(
    "id", [*ON_DRAWS, "lw-stochastic", "lw-adam-depth", "lw-differs-from-paper"]
)
def test_too_few_draws_are_not_judged(id, theirs):
    assert outcome(id, levy_wang=theirs[theirs.seed < DRAWS - 1]) == UNTESTED


def test_stochastic_is_the_coin_and_not_the_ordered_record(theirs, coin):
    assert outcome("lw-stochastic", levy_wang=coin) == REPRODUCED
    assert outcome("lw-stochastic", levy_wang=theirs) == NOT_REPRODUCED


def test_what_a_longer_grid_undoes_is_true_of_their_grid_only(theirs):
    flat = raised(table(level=lambda *_: 0.0))
    for id in ("lw-ethanol-one-layer", "lw-data-sets-disagree", "blog-2023-data-set"):
        verdict = verdict_of(id, levy_wang=theirs, levy_wang_raised=flat)
        assert verdict.outcome == CONDITION
        assert verdict.condition.startswith("their grid of rates ended at 0.01; continued to 0.5")
    # nothing is gained by it: what fails on their grid fails
    coins = table(level=lambda *_: 0.0, spread=lambda start: 0.03)
    assert outcome("lw-ethanol-one-layer", levy_wang=coins, levy_wang_raised=raised(theirs)) == (
        NOT_REPRODUCED
    )


def test_adam_slightly(theirs):
    def adam(gain):
        return table(
            lambda d, s, rule, a: (
                -np.log(gain) * (a != SINGLE) if rule == "Adam" else level(d, s, rule, a)
            )
        )

    assert outcome("lw-adam-depth", levy_wang=adam(1.3)) == REPRODUCED
    assert outcome("lw-adam-depth", levy_wang=adam(2.5)) == NOT_REPRODUCED  # more than slightly
    assert outcome("lw-adam-depth", levy_wang=adam(0.8)) == NOT_REPRODUCED


def test_depends_needs_the_order_to_turn_with_the_start_too(theirs):
    def turned(dataset, start, rule, a):
        sign = 1 if (dataset == "ethanol") == (start != "near_zero") else -1
        return 0.3 * sign * (a != SINGLE)

    assert outcome("lw-depends", levy_wang=table(turned)) == REPRODUCED


def test_diverging_from_the_paper_means_depth_ahead_at_l2(theirs, coin):
    assert outcome("lw-differs-from-paper", levy_wang=theirs) == NOT_REPRODUCED
    ahead = table(lambda *where: -0.3 * (where[3] != SINGLE))
    assert outcome("lw-differs-from-paper", levy_wang=ahead) == REPRODUCED
    assert outcome("blog-2024-not-aligned", levy_wang=ahead) == REPRODUCED
    one = table(lambda d, s, r, a: -0.3 * (a == (2, 10)) + 0.3 * (a not in (SINGLE, (2, 10))))
    verdict = verdict_of("lw-differs-from-paper", levy_wang=one)
    assert verdict.outcome == CONDITION
    assert "[10] below []" in verdict.condition


def test_a_network_that_fails_is_named(theirs):
    def but_one(dataset, start, rule, a):
        return -0.5 if (dataset, a) == ("ethanol", (2, 10)) else level(dataset, start, rule, a)

    verdict = verdict_of("lw-ethanol-one-layer", levy_wang=table(but_one))
    assert (verdict.outcome, verdict.condition[:18]) == (CONDITION, "not for [10] above")


def test_drawn_splits_can_add_a_condition(theirs):
    frame = theirs.copy()
    drawn = frame.split.eq("drawn") & frame.dataset.eq("ethanol") & frame.depth.gt(1)
    frame.loc[drawn, "final"] = 0.1
    verdict = verdict_of("lw-ethanol-one-layer", levy_wang=frame)
    assert verdict.outcome == CONDITION
    assert verdict.condition.startswith("on drawn splits: not for")


def test_one_changed_value_changes_a_verdict(theirs):
    """95 of 100 draws with each network above one layer: consistent; with 80 no longer."""
    frame = theirs.copy()
    at = (
        frame.dataset.eq("ethanol")
        & frame.depth.eq(2)
        & frame.width.eq(1)
        & frame.start.eq("default")
    )
    for below, wanted in ((5, REPRODUCED), (20, CONDITION)):
        frame.loc[at & frame.seed.lt(below), "final"] = 0.1
        assert outcome("lw-ethanol-one-layer", levy_wang=frame) == wanted


def test_one_changed_threshold_changes_a_verdict(theirs, monkeypatch):
    assert outcome("lw-ethanol-one-layer", levy_wang=theirs) == REPRODUCED
    monkeypatch.setattr(draws, "CONSISTENT", 0.999)
    assert outcome("lw-ethanol-one-layer", levy_wang=theirs) == CONDITION


def test_thresholds_of_shares():
    assert not Share(60, 100).mostly or Share(60, 100).bounds[1] > 0.5
    assert [Share(k, 100).mostly for k in (50, 58, 62)] == [False, False, True]
    assert [Share(k, 100).consistent for k in (80, 86, 90)] == [False, False, True]


def shares_of(*true):
    return {str(i): Share(successes, 100) for i, successes in enumerate(true)}


@pytest.mark.parametrize(
    ("true", "wanted"),
    [
        ((95, 95, 95, 50), CONDITION),
        ((95, 95, 50, 50), UNDECIDED),  # exactly on the threshold
        ((95, 50, 50, 50), NOT_REPRODUCED),
        ((95, 58, 75, 75), CONDITION),
    ],
)
def test_half_of_the_comparisons_decide_nothing(true, wanted):
    assert draws.judge(lambda split: shares_of(*true)).outcome == wanted
    wide = {key: Share(3, 5) for key in "abcd"}  # too few draws to say either
    assert draws.judge(lambda split: wide).outcome == UNDECIDED


def test_bursts_of_the_single_layer_are_a_condition(theirs):
    frame = theirs.copy()
    frame.loc[frame.depth.eq(1) & frame.start.eq("near_zero"), "rise"] = 3.0
    assert outcome("lw-bursts", levy_wang=frame) == CONDITION


def test_a_single_burst_in_a_thousand_curves_is_not_sometimes(coin):
    frame = coin.copy()
    at = frame.index[frame.depth.gt(1) & frame.start.eq("near_zero") & frame.split.eq("report")]
    frame.loc[at[:3], "rise"] = 3.0
    assert outcome("lw-bursts", levy_wang=frame) == NOT_REPRODUCED


def test_sizes(theirs):
    assert outcome("lw-sizes", levy_wang=theirs) == CONDITION  # ten features, not eight
    assert outcome("lw-sizes", levy_wang=theirs.assign(rows=1)) == NOT_REPRODUCED


def test_regularizes(theirs):
    assert outcome("blog-2023-regularizes", levy_wang=theirs) == REPRODUCED
    even = theirs.assign(held_out_ratio=1.0 + 0.01 * np.resize([1, -1], len(theirs)))
    assert outcome("blog-2023-regularizes", levy_wang=even) == NOT_REPRODUCED


def test_more_parameters(theirs):
    assert outcome("blog-2023-more-parameters", levy_wang=theirs) == NOT_REPRODUCED
    few = theirs.assign(training_rows=5)
    assert outcome("blog-2023-more-parameters", levy_wang=few) == REPRODUCED


# ---- starts, landscape, factorial ----------------------------------------------------------------


def starts(
    relative=1e-12, velocity=1e-12, kinds=("near_zero", "near_identity", "printed_condition")
):
    return pd.DataFrame(
        [
            {
                "dataset": dataset, "start": start, "depth": depth, "width": width, "seed": seed,
                "imbalance": relative, "relative": relative, "velocity": velocity,
            }
            for dataset in DATASETS
            for start in kinds
            for depth, width in DEEPER
            for seed in range(3)
        ]
    )  # fmt: skip


@pytest.mark.parametrize("id", ["lw-near-zero-balanced", "lw-near-identity-balanced"])
def test_balancedness(id):
    assert outcome(id, levy_wang_starts=starts()) == REPRODUCED
    assert outcome(id, levy_wang_starts=starts(relative=0.95)) == NOT_REPRODUCED
    frame = starts()
    frame.loc[frame.width.eq(64) & frame.depth.eq(3), "relative"] = 0.95
    verdict = verdict_of(id, levy_wang_starts=frame)
    assert (verdict.outcome, "[64, 64]" in verdict.condition) == (CONDITION, True)


def test_printed_condition():
    assert outcome("lw-condition-printed", levy_wang_starts=starts()) == REPRODUCED
    assert outcome("lw-condition-printed", levy_wang_starts=starts(velocity=0.9)) == NOT_REPRODUCED
    assert (
        outcome("lw-condition-printed", levy_wang_starts=starts(kinds=("near_zero",))) == UNTESTED
    )


def landscape(sharpness=0.5, cosine=0.8):
    return pd.DataFrame(
        [
            {
                "dataset": "ethanol", "p": 2.0, "depth": depth, "width": width, "seed": seed,
                "loss": 0.5,
                "sharpness": (10.0 + 0.1 * seed) * (sharpness if depth > 1 else 1),
                "cosine": cosine if depth > 1 else 1.0,
            }
            for depth, width in ARCHITECTURES
            for seed in range(6)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("id", "changed", "wanted"),
    [
        ("blog-2023-smoother", {}, REPRODUCED),
        ("blog-2023-smoother", {"sharpness": 1.5}, NOT_REPRODUCED),
        ("blog-2023-other-dynamics", {}, REPRODUCED),
        ("blog-2023-other-dynamics", {"cosine": 0.999}, NOT_REPRODUCED),
    ],
)
def test_landscape(id, changed, wanted):
    frame = landscape(**changed)
    assert outcome(id, landscape=frame) == wanted
    # a start of the single layer that lies below the level already is left out
    assert outcome(id, landscape=frame[(frame.depth > 1) | (frame.seed < 5)]) == wanted


def crossed(wide=1.0, identity=2.0):
    return pd.DataFrame(
        [
            {
                "dataset": "ethanol", "p": 4.0, "start": start, "bias": False, "width": width,
                "budget": budget, "upper": upper, "seed": seed, "depth": depth,
                "low": speed * (1 + 0.001 * seed), "high": speed * (1 + 0.001 * seed),
            }
            for start, width, speed in (
                ("near_zero", 1, 1.2), ("near_zero", 10, 1.2 * wide), ("near_zero", 64, 1.2 * wide),
                ("identity", 1, 1.2 * identity),
            )
            for budget in (100, 1000)
            for upper in (0.01, 0.5)
            for depth in (2, 3)
            for seed in range(5)
        ]
    )  # fmt: skip


def test_width():
    assert outcome("ava-width", walk_factorial=crossed()) == REPRODUCED
    assert outcome("ava-width", walk_factorial=crossed(wide=2.0)) == NOT_REPRODUCED
    one = crossed()
    at = one.width.eq(64) & one.depth.eq(3) & one.budget.eq(100)
    one.loc[at, ["low", "high"]] = 3.0
    assert outcome("ava-width", walk_factorial=one) == CONDITION


def test_a_width_that_is_out_of_reach_decides_nothing():
    frame = crossed()
    frame.loc[frame.width.gt(1), "low"], frame.loc[frame.width.gt(1), "high"] = 0.0, np.inf
    assert outcome("ava-width", walk_factorial=frame) == UNDECIDED
    frame.loc[frame.budget.eq(100), ["low", "high"]] = crossed()[["low", "high"]]
    verdict = verdict_of("ava-width", walk_factorial=frame)
    assert verdict.outcome == CONDITION  # what can be compared is equal
    assert "8 of 16 comparisons are censored" in verdict.condition


def test_identity():
    assert outcome("ava-identity", walk_factorial=crossed()) == REPRODUCED
    assert outcome("ava-identity", walk_factorial=crossed(identity=0.9)) == NOT_REPRODUCED


def test_same_functions(monkeypatch):
    for id in ("ava-same-functions", "blog-2024-same-functions"):
        assert outcome(id) == REPRODUCED
    product = ava.end_to_end
    monkeypatch.setattr(ava, "end_to_end", lambda *layers: 2 * product(*layers))
    assert outcome("ava-same-functions") == NOT_REPRODUCED


# ---- the list ------------------------------------------------------------------------------------


def sentences():
    with (ROOT / "book/data/sentences.csv").open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_sentence_has_a_claim_or_says_what_it_would_take():
    ids = {claim.id for claim in claims.CLAIMS}
    untested = []
    for row in sentences():
        named = [id for id in row["claims"].split() if id]
        assert set(named) <= ids, row
        assert row["source"] in claims.SOURCES
        if not named and not row["chapter"]:
            untested.append(row)
            assert len(row["otherwise"]) > 20, row
    assert len(untested) <= 5


def test_every_claim_of_the_sources_is_in_the_list():
    listed = {id for row in sentences() for id in row["claims"].split()}
    assert {c.id for c in claims.CLAIMS if c.source != "ours"} <= listed


def test_sentences_judged_in_chapters_name_chapters_that_exist():
    there = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]-*.md")}
    for row in sentences():
        assert set(row["chapter"].split()) <= there, row
