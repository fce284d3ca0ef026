"""The replications: protocol, store, curvature, walks, the map: against values by hand."""

from dataclasses import replace
from itertools import pairwise

import data_files
import made_up_runs
import numpy as np
import pandas as pd
import pytest
import torch

from accel_core import datasets
from accel_core.datasets import DataUnavailable
from accel_core.models import Architecture
from accel_core.problem import Problem
from report.experiments import tasks
from report.record import Row
from report.replications import bursts, depth_map, levy_wang, starts, walk
from report.replications.levy_wang import ARCHITECTURES, Draw


def problem(n=40, d=3, p=2.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return Problem(X, X @ np.arange(1.0, d + 1) + 0.3 * rng.standard_normal(n), p)


def computed(task):
    """The task's row, as it is kept."""
    (row,) = type(task).session([task]).run(lambda: None)
    return row


@pytest.fixture
def small(monkeypatch):
    """A table of 40 rows in place of the data sets."""
    whole = problem()
    monkeypatch.setattr(
        levy_wang, "parts",
        lambda dataset, split, p=2.0: (Problem(whole.X[:32], whole.y[:32], p),
                                       Problem(whole.X[32:], whole.y[32:], p)),
    )  # fmt: skip


# ---- the protocol --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "rows", "held"), [("ethanol", 2565, 513), ("abalone", 4177, 836)]
)
def test_splits(dataset, rows, held):
    try:
        parts = {split: levy_wang.parts(dataset, split) for split in (0, 1, 2)}
    except DataUnavailable as reason:
        data_files.skip(reason)
    for within, out in parts.values():
        assert (len(within.X), len(out.X)) == (rows - held, held)
        whole = np.vstack([np.hstack([q.X, q.y]) for q in (within, out)])
        # the whole table is standardised, not the part trained on
        np.testing.assert_allclose(whole.mean(0), 0, atol=1e-10)
        np.testing.assert_allclose(whole.std(0), 1, atol=1e-10)
        assert abs(within.X.mean(0)).max() > 1e-3
    first = [p[0].y[:20].ravel().tolist() for p in parts.values()]
    assert first[0] != first[1] != first[2]
    # scikit-learn's train_test_split(test_size=0.2, random_state=42) holds these out first
    _, y = datasets.load(dataset).standardized()
    order = np.random.RandomState(42).permutation(rows)
    np.testing.assert_array_equal(parts[0][1].y[:5, 0], y[order[:5]])


@pytest.mark.parametrize(
    "wrong",
    [{"dataset": "wine"}, {"start": "zero"}, {"rule": "sgd"}, {"activation": "tanh"},
     {"p": 4.0, "activation": "relu"}],
)  # fmt: skip
def test_wrong_values_are_named(wrong):
    with pytest.raises(ValueError, match=r"allowed are|SGD only"):
        Draw(**{"dataset": "ethanol"} | wrong)


def plain(shape, start, data, held, rate, steps, relu=False):
    """(training, held-out) loss of one network after plain steps of torch in single precision."""
    X, y, out, target = (
        torch.tensor(a, dtype=torch.float32) for a in (data.X, data.y, held.X, held.y)
    )
    net = torch.nn.Sequential()
    for W, b in zip(*shape.unpack(start, X.shape[1]), strict=True):
        if relu and len(net):
            net.append(torch.nn.ReLU())
        layer = torch.nn.Linear(*W.shape[::-1])
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(W))
            layer.bias.copy_(torch.tensor(b))
        net.append(layer)
    step = torch.optim.SGD(net.parameters(), lr=rate)
    for _ in range(steps):
        step.zero_grad()
        torch.nn.functional.mse_loss(net(X), y).backward()
        step.step()
    pairs = ((X, y), (out, target))
    return [torch.nn.functional.mse_loss(net(x), label).item() for x, label in pairs]


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_a_draw_is_the_plain_single_precision_loop(small, activation):
    draw = Draw("ethanol", seed=3, activation=activation)
    outcome, (data, held) = draw.run(), levy_wang.parts("ethanol", 0)
    for i, (depth, width) in enumerate(ARCHITECTURES):
        shape = Architecture(depth, width, bias=True)
        start = shape.start(levy_wang.STARTS["default"], 3, 3)
        wanted = plain(
            shape, start, data, held, draw.rates[-1], levy_wang.STEPS - 1, activation == "relu"
        )
        found = [outcome.arrays[name][i, -1] for name in ("final", "held_out")]
        assert found == pytest.approx(wanted, rel=1e-4)


def test_the_rise_and_the_held_out_loss_at_equal_training_loss_by_hand():
    curves = np.array([[4.0, 2.0, 3.0, 1.0], [4.0, 3.0, 2.0, 1.0]])
    np.testing.assert_allclose(levy_wang._rise(curves), [1.5, 1.0])
    # the first is at 0.25 in the end, the second at 0.5, halfway down the first's last step in logs
    losses = np.array([[4.0, 1.0, 0.25], [2.0, 1.0, 0.5]])
    held = np.array([[5.0, 4.0, 1.0], [5.0, 4.0, 3.0]])
    np.testing.assert_allclose(levy_wang._at_equal_loss(losses, held), [1.0, 3.0 / 2.0])


def test_the_best_rate_is_that_of_the_last_training_loss(small):
    row = computed(Draw("ethanol", seed=1))
    table = levy_wang.table([row])
    final = row.arrays["final"].reshape(len(ARCHITECTURES), -1)
    np.testing.assert_array_equal(table.final, final.min(axis=1))
    assert list(table.rate) == [levy_wang.GRID[i] for i in final.argmin(axis=1)]
    assert set(table.split) == {"report"}
    # the curve that is kept is the chosen one
    for a, best in zip(ARCHITECTURES, table.final, strict=True):
        assert row.series[f"loss {a}"][-1] == best
    drawn = levy_wang.table([computed(Draw("ethanol", seed=1, split=2))])
    assert set(drawn.split) == {"drawn"}


def test_compact_keeps_what_a_page_shows():
    values = np.array([np.pi, -1e-30, 0.0, np.inf, np.nan, 1e300])
    short = tasks.compact(values)
    np.testing.assert_allclose(short, values, rtol=2.0**-tasks.DIGITS)
    assert short[0] != values[0]


# ---- the starts ----------------------------------------------------------------------------------


def test_imbalance_by_hand():
    # W_2ᵀW_2 = 4, W_1W_1ᵀ = 1 for hidden width 1: the gap is 3, three quarters of the larger
    weights = [np.array([[0.6, 0.8]]), np.array([[2.0]])]
    assert starts.imbalance(weights) == pytest.approx((3.0, 0.75))


def test_the_printed_condition_holds_and_balancedness_does_not():
    weights = starts.printed_condition((4, 4, 4, 1), np.random.default_rng(0))
    for before, after in pairwise(weights):
        np.testing.assert_allclose(after.T @ after, before.T @ before, atol=1e-15)
    assert starts.imbalance(weights)[1] > 1
    with pytest.raises(ValueError, match="as wide as the input"):
        starts.printed_condition((4, 2, 1), np.random.default_rng(0))


# ---- curvature and bursts ------------------------------------------------------------------------


def test_the_error_grows_by_one_minus_rate_times_sharpness(small, monkeypatch):
    monkeypatch.setattr(bursts, "parts", levy_wang.parts)
    # one layer: the Hessian is 2XᵀX/n with the bias; at 2.5/σ every swing grows by half
    data, _ = levy_wang.parts("ethanol", 0)
    sigma = 2 * np.linalg.eigvalsh(data.moments.with_bias().xx)[-1]
    trace = bursts.Trace("ethanol", "default", 1, 1, 0, float(2.5 / sigma), 40)
    table = bursts.trace_table([computed(trace)])
    np.testing.assert_allclose(table.sharpness, sigma, rtol=1e-4)
    above = table.loss - data.optimum(bias=True).loss
    np.testing.assert_allclose((above / above.shift())[-5:], 1.5**2, rtol=2e-2)


def trace(**changed):
    """Down to 1 at step 1, up to 3 at step 3; along u it gains 1 of these 2."""
    columns = {
        "iteration": range(5), "loss": [4.0, 1.0, 2.0, 3.0, 1.5], "part": [2.0, 0.5, 1.0, 1.5, 1.0],
        "error": [2.0, -1.0, 1.5, -2.0, -1.0], "edge": 5.0, "sharpness": [4.0, 6.0, 7.0, 4.0, 3.0],
        "dataset": "ethanol", "start": "near_zero", "depth": 2, "width": 64, "seed": 0, "rate": 0.4,
    }  # fmt: skip
    return pd.DataFrame(columns | changed)


def test_a_climb_by_hand():
    (found,) = bursts.climbs(trace()).to_dict("records")
    assert (found["factor"], found["low"], found["top"]) == (3.0, 1, 3)
    assert found["along"] == pytest.approx(0.5)
    assert (found["falls"], found["swings"]) == (pytest.approx(3 / 7), True)
    assert (found["above"], found["began_above"], found["ended_below"]) == (True, True, True)
    (calm,) = bursts.climbs(trace(error=1.0, sharpness=4.0)).to_dict("records")
    assert (calm["swings"], calm["above"], calm["began_above"]) == (False, False, False)
    (down,) = bursts.climbs(trace(loss=[5.0, 4, 3, 2, 1])).to_dict("records")
    assert (down["factor"], np.isnan(down["along"])) == (1.0, True)
    both = pd.concat([trace(), trace(seed=1, sharpness=9.0)])
    assert bursts.climbs(both).ended_below.tolist() == [True, False]


# ---- the grids -----------------------------------------------------------------------------------


def test_grids_grow_as_the_report_s_and_raised_draws_differ_in_theirs_only(small):
    base = levy_wang.GRID
    assert Draw("ethanol", "near_zero").rates == (*base, 5e-2)
    assert Draw("abalone", "near_identity", "Adam").rates == (*base, 5e-2, 1e-1)
    for raised in levy_wang.raised(2):
        usual = Draw(raised.dataset, raised.start, seed=raised.seed)
        assert {k: v for k, v in vars(raised).items() if k != "grid"} == vars(usual)
        assert max(raised.rates) == 0.5
    assert set(base) < set(levy_wang.Raised("ethanol").rates)
    fine = np.array(levy_wang.GRIDS["fine"])
    assert (fine[1:] / fine[:-1]).max() < 2.51
    table = levy_wang.table([computed(levy_wang.Raised("ethanol", seed=1))])
    assert set(table.grid) == {"raised"}
    assert len(table.by_rate.iloc[0]) == len(levy_wang.GRIDS["raised"])


# ---- the walk ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", walk.ORDERS)
def test_every_order_leads_to_the_paper_one_factor_at_a_time(order):
    settings = [setting for _, setting in walk.settings(order)]
    assert (settings[0], settings[-1]) == (walk.LEVY_WANG, walk.PAPER)
    for before, after in pairwise(settings):
        changed = [n for n in vars(before) if getattr(before, n) != getattr(after, n)]
        assert len(changed) == 1


def run_table(curves, budget=1000):
    """One cell: {(depth, rate): distances at 0, 10, 100, 400, 1000}, three starts 1 % apart."""
    at = np.array([0, 10, 100, 400, 1000])
    return pd.DataFrame(
        [
            made_up_runs.run({"depth": depth}, np.array(values) * 1.01**seed, seed, rate, budget)
            | {"iteration": at}
            for (depth, rate), values in curves.items()
            for seed in range(3)
        ]
    )


def test_compare_by_hand():
    # the single layer is at 0.2 after 0.4 of the budget; depth 2 is there after 100: four times as
    # fast; at the budget it has half of the single layer's distance left
    runs = run_table(
        {
            (1, 0.1): [1, 0.9, 0.5, 0.2, 0.1], (1, 0.5): [1, 2, 2, 2, 2],
            (2, 0.1): [1, 0.5, 0.2, 0.1, 0.05], (2, 0.5): [1, 2, 2, 2, 2],
            (3, 0.1): [1, 0.9, 0.5, 0.2, 0.1], (3, 0.5): [1, 2, 2, 2, 0.01],
        }
    )  # fmt: skip
    found = walk.compare(runs, 1000, 0.5).groupby("depth")
    assert found.low.median()[2] == pytest.approx(4.0, rel=0.05)
    assert found.gain.median()[2] == pytest.approx(2.0, rel=0.02)
    assert found.gain.median()[3] == pytest.approx(10.0, rel=0.02)
    low = walk.compare(runs, 1000, 0.1).groupby("depth")
    assert low.gain.median()[3] == pytest.approx(1.0, rel=0.02)
    assert set(low.edge.first()) == {"only"}
    short = walk.compare(runs, 100, 0.5).groupby("depth")
    assert short.gain.median()[2] == pytest.approx(2.5, rel=0.02)
    with pytest.raises(ValueError, match="not recorded there"):
        walk.compare(runs, 99, 0.5)


def test_distances_are_no_smaller_than_round_off():
    cell = replace(walk.LEVY_WANG.cell(4), start="near_zero")
    distance = np.tile([1.0, 0.0, np.nan], (24, 1))
    summary = {"optimum": 0.5, "diverged_at": [None] * 24}
    row = Row("k", cell.spec(), summary, {"iteration": np.arange(3)}, {"distance": distance})
    least = walk.FLOOR / 2
    assert [d.tolist() for d in walk.run_tables([row], least=walk.FLOOR).distance] == (
        [[1.0, least]] * 24
    )
    assert walk.run_tables([row]).distance[0].tolist() == [1.0, 0.0]


# ---- the map -------------------------------------------------------------------------------------


def test_synthetic_problems_have_the_spectrum_they_name():
    data = depth_map.synthetic(100.0, 2.0, seed=1)
    spread = np.linalg.eigvalsh(data.X.T @ data.X / len(data.X))
    np.testing.assert_allclose(spread, np.geomspace(0.01, 1, depth_map.FEATURES))
    with pytest.raises(ValueError, match="1 or more"):
        depth_map.synthetic(0.5, 2.0)


def test_prediction_by_hand():
    # one feature, ℓ2: λ = 2 everywhere, c = 1, M = 2. Depth N: S = 2·2^{2−2/N}·N, so that its
    # effective rate at the end is 1/N of one layer's
    x = np.array([1.0, -1.0, 1.0, -1.0])
    data = Problem(x[:, None], 2 * x, 2.0)
    for depth in (1, 2, 3):
        assert depth_map.predict(data, depth, 2.0, 1000) == pytest.approx(1 / depth)
    # from m₀ = 0.02 depth 2 needs T₀ = ln(100)/(2·4)/η with η = 2/(2·2·2) = 1/4, against T₁ = 400
    by_hand = 400 / (np.log(100) / 8 * 4 + 800)
    assert depth_map.predict(data, 2, 0.02, 1000) == pytest.approx(by_hand)
    at = [depth_map.predict(data, 2, 0.02, budget) for budget in depth_map.BUDGETS]
    wanted = depth_map.predict(data, 2, 0.02, 5000)  # between budgets: on the formula's line
    assert depth_map._expected(np.array(at), 0.4 * 5000) == pytest.approx(wanted)
    cell = depth_map.MapCell("synthetic", 4.0, "near_zero", "Adam", 10.0)
    assert cell.predicted(cell.problem(), 3, 1000) == 1.0  # Adam gains nothing


def test_a_small_map_has_one_target_a_cell():
    cell = replace(depth_map.MapCell("synthetic", 4.0, "identity", "GD", 10.0), seed=0)
    found = depth_map.map_table([computed(cell)])
    assert found.depth.tolist() == [2, 3]
    assert (found.predicted_fast == (found.predicted > 1)).all()
    assert (found.fast == [s.median_low > 1 for s in found.speedup]).all()
    slow = depth_map.MapCell("synthetic", 2.0, "near_zero", "GD", 1e4)  # e⁻² in its last direction
    never = depth_map.map_table([computed(slow)], share=1e-9)
    assert never.predicted.isna().all()
    assert not never.decided.any()
