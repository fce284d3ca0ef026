"""Criteria of the replications' and the blogs' claims on made-up records: both outcomes each."""

from itertools import product
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
NOISE = np.random.default_rng(0).standard_normal((DRAWS, len(ARCHITECTURES)))
STARTS = ("default", "near_zero", "near_identity")
# rows, rows trained on, features
SIZES = {"ethanol": (2565, 2052, 128), "abalone": (4177, 3341, 10)}


def level(dataset, start, rule, architecture):
    """As the sentences of the report would have it, in natural logs of the last loss."""
    depth, width = architecture
    sign = 1 if dataset == "ethanol" else -1
    if rule == "Adam":
        return -0.9 + 0.1 * (sign > 0) if depth > 1 else -0.5
    return (depth > 1) * (0.3 * sign + 0.2 * sign * np.log10(width) - 0.1 * (start == STARTS[2]))


def table(level=level, spread=None, rise=1.0):
    """The table `levy_wang` in small: every cell that the criteria look at, 100 draws."""
    spread = spread or (lambda start: 0.03 if start == "default" else 0.005)
    cells = [
        pd.DataFrame(
            {
                "dataset": dataset, "p": 2.0, "activation": "linear", "start": start, "rule": rule,
                "split": split, "seed": range(DRAWS), "depth": a[0], "width": a[1],
                "final": np.exp(level(dataset, start, rule, a) + spread(start) * NOISE[:, i]),
                "rise": rise if a[0] > 1 else 1.0,
                "held_out_ratio": np.exp(-0.1 + 0.01 * NOISE[:, i]),
            } | dict(zip(("rows", "training_rows", "features"), SIZES[dataset], strict=True))
        )
        for dataset, start, rule, split in product(
            DATASETS, STARTS, ("SGD", "Adam"), ("report", "drawn")
        )
        if rule == "SGD" or start == "near_identity"
        for i, a in enumerate(ARCHITECTURES)
    ]  # fmt: skip
    return pd.concat(cells, ignore_index=True)


@pytest.fixture(scope="module")
def theirs():
    """A record in which everything is as the report says."""
    return table(rise=np.where(np.arange(DRAWS) < 20, 2.0, 1.0))


@pytest.fixture(scope="module")
def coin():
    """A record in which nothing decides: every network the same, draws differ."""
    return table(level=lambda *_: 0.0, spread=lambda start: 0.03)


def raised(draws):
    return draws[draws.rule.eq("SGD") & draws.split.eq("report")].assign(grid="raised")


def verdict_of(id, draws=None, **tables):
    """Where no draws with the raised grid are given, raising it changes nothing."""
    if draws is not None:
        tables = {"levy_wang": draws, "levy_wang_raised": raised(draws)} | tables
    return judge(id, tables)


def outcome(id, draws=None, **tables):
    return verdict_of(id, draws, **tables).outcome


# what a record in which everything is as the report says makes of these, and coins do not
ON_DRAWS = (
    "lw-ethanol-one-layer", "lw-abalone-deeper", "lw-width", "lw-data-sets-disagree",
    "lw-less-stochastic", "lw-bursts", "lw-near-identity-faster", "lw-no-conclusion",
    "lw-adam-better", "lw-depends", "blog-2024-adam", "blog-2024-not-wrong",
)  # fmt: skip


@pytest.mark.parametrize("id", ON_DRAWS)
def test_a_record_as_the_report_says_reproduces_it_and_one_of_coins_does_not(id, theirs, coin):
    wanted = CONDITION if id == "lw-depends" else REPRODUCED
    assert (outcome(id, theirs), outcome(id, coin)) == (wanted, NOT_REPRODUCED)


@pytest.mark.parametrize(
    "id", [*ON_DRAWS, "lw-stochastic", "lw-adam-depth", "lw-differs-from-paper"]
)
def test_too_few_draws_are_not_judged(id, theirs):
    assert outcome(id, theirs[theirs.seed < DRAWS - 1]) == UNTESTED


def adam(gain):
    return lambda d, s, rule, a: -np.log(gain) * (a != SINGLE) if rule == "Adam" else 0.0


def turned_by_data_and_start(dataset, start, rule, a):
    return 0.3 * (1 if (dataset == "ethanol") == (start != "near_zero") else -1) * (a != SINGLE)


def ahead(dataset, start, rule, a):
    return -0.3 * (a != SINGLE)


def one_ahead(dataset, start, rule, a):
    return {(2, 10): -0.3, SINGLE: 0.0}.get(a, 0.3)


def but_one(dataset, start, rule, a):
    return -0.5 if (dataset, a) == ("ethanol", (2, 10)) else level(dataset, start, rule, a)


@pytest.mark.parametrize(
    ("levels", "id", "wanted", "words"),
    [
        (adam(1.3), "lw-adam-depth", REPRODUCED, ""),
        (adam(2.5), "lw-adam-depth", NOT_REPRODUCED, ""),  # more than slightly
        (adam(0.8), "lw-adam-depth", NOT_REPRODUCED, ""),
        (turned_by_data_and_start, "lw-depends", REPRODUCED, ""),
        (level, "lw-stochastic", NOT_REPRODUCED, ""),
        (level, "lw-differs-from-paper", NOT_REPRODUCED, ""),
        (ahead, "lw-differs-from-paper", REPRODUCED, ""),  # the paper has depth behind at ℓ2
        (one_ahead, "lw-differs-from-paper", CONDITION, "[10] below []"),
        (but_one, "lw-ethanol-one-layer", CONDITION, "not for [10] above"),
    ],
)
def test_other_levels_are_other_verdicts(levels, id, wanted, words):
    verdict = verdict_of(id, table(levels))
    assert (verdict.outcome, words in verdict.condition) == (wanted, True)


def test_draws_that_differ_are_stochastic(coin):
    assert outcome("lw-stochastic", coin) == REPRODUCED


def test_what_a_longer_grid_undoes_is_true_of_their_grid_only(theirs, coin):
    flat = raised(table(level=lambda *_: 0.0))
    for id in ("lw-ethanol-one-layer", "lw-data-sets-disagree"):
        verdict = verdict_of(id, theirs, levy_wang_raised=flat)
        assert verdict.outcome == CONDITION
        assert verdict.condition.startswith("their grid of rates ended at 0.01; continued to 0.5")
    # nothing is gained by it: what fails on their grid fails
    assert outcome("lw-ethanol-one-layer", coin, levy_wang_raised=raised(theirs)) == NOT_REPRODUCED


def test_drawn_splits_can_add_a_condition(theirs):
    frame = theirs.copy()
    drawn = frame.split.eq("drawn") & frame.dataset.eq("ethanol") & frame.depth.gt(1)
    frame.loc[drawn, "final"] = 0.1
    verdict = verdict_of("lw-ethanol-one-layer", frame)
    assert verdict.outcome == CONDITION
    assert verdict.condition.startswith("on drawn splits: not for")


def test_changed_values_or_a_changed_threshold_change_a_verdict(theirs, monkeypatch):
    """95 of 100 draws with each network above one layer: consistent; with 80 no longer."""
    frame = theirs.copy()
    at = frame.query("dataset == 'ethanol' and depth == 2 and width == 1 and start == 'default'")
    for below, wanted in ((5, REPRODUCED), (20, CONDITION)):
        frame.loc[at.index[at.seed.lt(below)], "final"] = 0.1
        assert outcome("lw-ethanol-one-layer", frame) == wanted
    monkeypatch.setattr(draws, "CONSISTENT", 0.999)
    assert outcome("lw-ethanol-one-layer", theirs) == CONDITION


def test_thresholds_of_shares():
    assert [Share(k, 100).mostly for k in (50, 58, 60, 62)] == [False, False, True, True]
    assert [Share(k, 100).consistent for k in (80, 86, 90)] == [False, False, True]


@pytest.mark.parametrize(
    ("true", "of", "wanted"),
    [
        ((95, 95, 95, 50), 100, CONDITION),
        ((95, 95, 50, 50), 100, UNDECIDED),  # exactly on the threshold
        ((95, 50, 50, 50), 100, NOT_REPRODUCED),
        ((95, 58, 75, 75), 100, CONDITION),
        ((3, 3, 3, 3), 5, UNDECIDED),  # too few draws to say either
    ],
)
def test_half_of_the_comparisons_decide_nothing(true, of, wanted):
    shares = {str(i): Share(successes, of) for i, successes in enumerate(true)}
    assert draws.judge(lambda split: shares).outcome == wanted


def test_bursts_of_the_single_layer_are_a_condition_and_three_in_a_thousand_are_none(theirs, coin):
    frame = theirs.copy()
    frame.loc[frame.depth.eq(1) & frame.start.eq("near_zero"), "rise"] = 3.0
    assert outcome("lw-bursts", frame) == CONDITION
    few = coin.copy()
    at = few.index[few.depth.gt(1) & few.start.eq("near_zero") & few.split.eq("report")]
    few.loc[at[:3], "rise"] = 3.0
    assert outcome("lw-bursts", few) == NOT_REPRODUCED


EVEN = 1.0 + 0.01 * np.resize([1, -1], len(NOISE))


@pytest.mark.parametrize(
    ("id", "columns", "wanted"),
    [
        ("lw-sizes", {}, CONDITION),  # ten features, not eight
        ("lw-sizes", {"rows": 1}, NOT_REPRODUCED),
        ("blog-2023-regularizes", {}, REPRODUCED),
        ("blog-2023-regularizes", {"held_out_ratio": EVEN}, NOT_REPRODUCED),
        ("blog-2023-more-parameters", {}, NOT_REPRODUCED),
        ("blog-2023-more-parameters", {"training_rows": 5}, REPRODUCED),
    ],
)
def test_a_column_decides(id, columns, wanted, theirs):
    whole = {name: np.resize(values, len(theirs)) for name, values in columns.items()}
    assert outcome(id, theirs.assign(**whole)) == wanted


# ---- starts, landscape, factorial ----------------------------------------------------------------


def starts(relative=1e-12, velocity=1e-12, kinds=(*STARTS[1:], "printed_condition")):
    cells = product(DATASETS, kinds, DEEPER, range(3))
    return pd.DataFrame(
        {"dataset": dataset, "start": start, "depth": depth, "width": width, "seed": seed,
         "imbalance": relative, "relative": relative, "velocity": velocity}
        for dataset, start, (depth, width), seed in cells
    )  # fmt: skip


WIDEST = starts()
WIDEST.loc[WIDEST.width.eq(64) & WIDEST.depth.eq(3), "relative"] = 0.95


@pytest.mark.parametrize(
    ("id", "frame", "wanted", "words"),
    [
        *((f"lw-{start}-balanced", frame, wanted, words)
          for start in ("near-zero", "near-identity")
          for frame, wanted, words in ((starts(), REPRODUCED, ""),
                                       (starts(relative=0.95), NOT_REPRODUCED, ""),
                                       (WIDEST, CONDITION, "[64, 64]"))),
        ("lw-condition-printed", starts(), REPRODUCED, ""),
        ("lw-condition-printed", starts(velocity=0.9), NOT_REPRODUCED, ""),
        ("lw-condition-printed", starts(kinds=("near_zero",)), UNTESTED, ""),
    ],
)  # fmt: skip
def test_balancedness(id, frame, wanted, words):
    verdict = verdict_of(id, levy_wang_starts=frame)
    assert (verdict.outcome, words in verdict.condition) == (wanted, True)


def landscape(sharpness=0.5, cosine=0.8):
    return pd.DataFrame(
        {"dataset": "ethanol", "p": 2.0, "depth": depth, "width": width, "seed": seed, "loss": 0.5,
         "sharpness": (10.0 + 0.1 * seed) * (sharpness if depth > 1 else 1),
         "cosine": cosine if depth > 1 else 1.0}
        for (depth, width), seed in product(ARCHITECTURES, range(6))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("id", "changed", "wanted"),
    [
        ("blog-2023-smoother", {}, REPRODUCED),
        ("blog-2023-smoother", {"sharpness": 1.5}, NOT_REPRODUCED),
        ("blog-2023-other-dynamics", {}, REPRODUCED),
        ("blog-2023-other-dynamics", {"cosine": 0.999}, NOT_REPRODUCED),
        ("lw-along-gradient", {}, NOT_REPRODUCED),
        ("lw-along-gradient", {"cosine": 0.999}, REPRODUCED),
    ],
)
def test_landscape(id, changed, wanted):
    frame = landscape(**changed)
    assert outcome(id, landscape=frame) == wanted
    # a start of the single layer that lies below the level already is left out
    assert outcome(id, landscape=frame[(frame.depth > 1) | (frame.seed < 5)]) == wanted


def crossed(wide=1.0, identity=2.0):
    models = [("near_zero", 1, 1.2), ("identity", 1, 1.2 * identity)]
    models += [("near_zero", width, 1.2 * wide) for width in (10, 64)]
    cells = product(models, (100, 1000), (0.01, 0.5), (2, 3), range(5))
    return pd.DataFrame(
        {"dataset": "ethanol", "p": 4.0, "start": start, "bias": False, "width": width,
         "budget": budget, "upper": upper, "seed": seed, "depth": depth,
         "low": speed * (1 + 0.001 * seed), "high": speed * (1 + 0.001 * seed)}
        for (start, width, speed), budget, upper, depth, seed in cells
    )  # fmt: skip


@pytest.mark.parametrize(
    ("id", "changed", "wanted"),
    [
        ("ava-width", {}, REPRODUCED),
        ("ava-width", {"wide": 2.0}, NOT_REPRODUCED),
        ("ava-identity", {}, REPRODUCED),
        ("ava-identity", {"identity": 0.9}, NOT_REPRODUCED),
    ],
)
def test_width_and_identity(id, changed, wanted):
    assert outcome(id, walk_factorial=crossed(**changed)) == wanted


def test_some_widths_are_a_condition_and_one_that_is_out_of_reach_decides_nothing():
    one, frame = crossed(), crossed()
    one.loc[one.width.eq(64) & one.depth.eq(3) & one.budget.eq(100), ["low", "high"]] = 3.0
    assert outcome("ava-width", walk_factorial=one) == CONDITION
    frame.loc[frame.width.gt(1), "low"], frame.loc[frame.width.gt(1), "high"] = 0.0, np.inf
    assert outcome("ava-width", walk_factorial=frame) == UNDECIDED
    frame.loc[frame.budget.eq(100), ["low", "high"]] = crossed()[["low", "high"]]
    verdict = verdict_of("ava-width", walk_factorial=frame)
    assert verdict.outcome == CONDITION  # what can be compared is equal
    assert "8 of 16 comparisons are censored" in verdict.condition


def test_same_functions(monkeypatch):
    assert outcome("ava-same-functions") == REPRODUCED
    product = ava.end_to_end
    monkeypatch.setattr(ava, "end_to_end", lambda *layers: 2 * product(*layers))
    assert outcome("ava-same-functions") == NOT_REPRODUCED


# ---- the list ------------------------------------------------------------------------------------


def test_every_sentence_has_a_claim_or_a_chapter_or_says_what_it_would_take():
    listed = pd.read_csv(ROOT / "book/data/sentences.csv", keep_default_na=False)
    named = listed.claims.str.split()
    assert set(listed.source) <= set(claims.SOURCES)
    ours = {c.id for c in claims.CLAIMS if c.source == "ours"}
    assert {c.id for c in claims.CLAIMS} - ours <= set(named.sum())
    assert set(named.sum()) <= {c.id for c in claims.CLAIMS}
    chapters = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]-*.md")}
    assert set(listed.chapter.str.split().sum()) <= chapters
    untested = listed[named.str.len().eq(0) & listed.chapter.eq("")]
    assert len(untested) <= 5 and untested.otherwise.str.len().gt(20).all()
