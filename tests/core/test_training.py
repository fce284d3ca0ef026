"""The batched trainer against the plain one: `torch.nn`, autograd, `torch.optim`, a model a time.

Tolerance: both compute in float64 and differ in the order of sums; at stable rates errors do not
grow, and 1,000 steps of an error of a few 1e-16 stay far below 1e-9.
"""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from regressions import deviation, regression

from accel_core.initializers import Balanced, IdentityOffset, NearZero, SemiOrthogonal, TorchDefault
from accel_core.problem import Problem
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from accel_core.training import Run, train

torch.set_num_threads(1)  # these models are small: threads that wait for each other cost more

ITERATIONS = 1_000
SAME = 1e-9  # relative
LEAST = 20  # iterations that an adaptive rule is compared over, where round-off cuts it short

LEVELS = {
    "depth": (1, 2, 3, 4),
    "width": (1, 3, 40),
    "p": (2.0, 3.0, 4.0, 6.0, 2.5),
    "bias": (False, True),
    "start": (
        NearZero(0.1), IdentityOffset(0.05), SemiOrthogonal(), TorchDefault(), Balanced(0.3),
    ),
    "rule": (
        GradientDescent(), Momentum(0.9), Momentum(0.8, nesterov=True), EndToEnd(3), Adam(),
        Adam(epsilon_hat=True), AdaGrad(), AdaGrad(0.1, 0.0), AdaDelta(), AdaDelta(0.95, 1e-8),
    ),
    "k": (1, 2),
    "weight_decay": (0.0, 0.01),
}  # fmt: skip


def train_plain(problem, run, iterations, **options):
    """One run by the readable trainer."""
    return train(problem, [run], iterations, engine="torch", **options)[0]


def valid(depth, width, p, bias, start, rule, k, weight_decay):
    if isinstance(rule, EndToEnd) and (depth > 1 or bias or k > 1):
        return False
    return not (isinstance(start, Balanced) and depth > 1 and width < k)


def pairwise_combinations(rng):
    """Combinations in which every two levels of two factors meet that can; greedy, at random."""

    def new(values):
        return set(itertools.combinations(enumerate(values), 2)) - met

    chosen, met, idle = [], set(), 0
    while idle < 60:
        drawn = [
            tuple(levels[rng.integers(len(levels))] for levels in LEVELS.values())
            for _ in range(100)
        ]
        best = max((values for values in drawn if valid(*values)), key=lambda d: len(new(d)))
        idle = 0 if new(best) else idle + 1
        if new(best):
            chosen.append(best)
            met |= new(best)
    return chosen


PAIRWISE = pairwise_combinations(np.random.default_rng(0))


data = partial(
    regression, n=61, d=7, seed=1, spread=(0.3, 1.5), shift=0.3, noise=0.3, constant=-0.5
)


def until(result, points):
    """The curve's first points alone."""
    names = ("iteration", "loss", "end_to_end")
    return replace(result, **{name: getattr(result, name)[:points] for name in names})


def stable_rate(problem, run, iterations):
    """Half the largest rate of a grid that is stable, less for what momentum adds.

    Stable is a rate at which gradient descent's loss falls all the way. Adaptive rules have no such
    limit: there it is a rate at which the order of the rows does not matter to SAME/10, or the
    lowest one, where it matters at all of them (see `agree`).
    """
    at = np.unique(np.geomspace(1, iterations, 60).astype(int))
    if not run.rule.rotation_equivariant:
        reordered = Problem(problem.X[::-1], problem.y[::-1], problem.p)
        for rate in (0.2, 0.02, 0.002) if isinstance(run.rule, AdaDelta) else (2e-3, 2e-4):
            run = replace(run, rate=rate)
            one, other = (train(q, [run], iterations)[0] for q in (problem, reordered))
            if deviation(one, other) < SAME / 10:
                break
        return rate / 2
    rule = run.rule if isinstance(run.rule, EndToEnd) else GradientDescent()
    rates = 2.0 ** -np.arange(0, 24, 2)
    twins = [replace(run, rate=rate, rule=rule) for rate in rates]
    for rate, result in zip(rates, train(problem, twins, iterations, record_at=at), strict=True):
        decay = 0 if run.weight_decay == 0 else 1e-3  # its equilibrium may lie above the start
        if result.status == "completed" and np.all(
            np.diff(result.loss) <= decay * result.loss[:-1]
        ):
            return rate / 2 * (1 - getattr(run.rule, "beta", 0))
    raise AssertionError(f"no rate of {rates} is stable for {run}")


def agree(depth, width, p, bias, start, rule, k, weight_decay, iterations=ITERATIONS):
    problem = Problem(*data(k), p)
    run = Run(depth, width, bias, start, 3, rule, weight_decay=weight_decay)
    run = replace(run, rate=stable_rate(problem, run, iterations))
    result, oracle = train(problem, [run], iterations)[0], train_plain(problem, run, iterations)
    assert oracle.status == result.status == "completed"
    assert oracle.iteration[-1] == iterations
    assert np.abs(oracle.end_to_end[-1] - oracle.end_to_end[0]).max() > 1e-5  # it has moved
    if not rule.rotation_equivariant:  # a step is nearly the sign of a gradient, however small
        steady = horizon(problem, run, oracle.iteration)
        assert oracle.iteration[steady - 1] >= LEAST, f"the horizon of {run} shows too little"
        result, oracle = until(result, steady), until(oracle, steady)
    assert deviation(result, oracle) < SAME


@pytest.mark.parametrize("combination", PAIRWISE, ids=str)
def test_equals_the_plain_trainer(combination):
    agree(*combination)


def horizon(problem, run, at):
    """Number of the recorded iterations up to which another order of the rows changes the curve by
    less than SAME/100: what another order of sums does to it has not grown to SAME by then."""

    def curve(seed):
        order = np.random.default_rng(seed).permutation(len(problem.X))
        reordered = Problem(problem.X[order], problem.y[order], problem.p)
        return train(reordered, [run], at[-1], record_at=at)[0].end_to_end

    curves = [curve(seed) for seed in (1, 2, 3)]
    steady = min(len(c) for c in curves)
    moved = np.ptp([c[:steady] for c in curves], axis=0).max(axis=(1, 2))
    scale = np.abs(curves[0][:steady]).max(axis=(1, 2))
    return int(np.argmax(np.append(moved / scale, np.inf) > SAME / 100))


@pytest.mark.parametrize(
    ("depth", "width", "rule", "rate"),
    [(2, 1, GradientDescent(), 0.25), (3, 3, GradientDescent(), 0.13),
     (2, 1, Momentum(0.8, nesterov=True), 0.15), (1, 1, EndToEnd(3), 0.12), (2, 1, Adam(), 1.0)],
)  # fmt: skip
def test_equals_the_plain_trainer_at_unstable_rates_until_the_order_of_rows_matters(
    depth, width, rule, rate
):
    problem, at = Problem(*data(), 2.0), np.arange(600)
    run = Run(depth, width, rule=rule, rate=rate, start=NearZero(0.3))
    steady = horizon(problem, run, at)
    assert 10 < steady < 200, f"this rate shows nothing: the horizon is {steady}"
    result = train(problem, [run], at[steady - 1], record_at=at[:steady])[0]
    oracle = train_plain(problem, run, at[steady - 1], record_at=at[:steady])
    assert deviation(result, oracle) < SAME


DIVERGING = [
    Run(1, rate=2.0), Run(2, 1, rate=0.4, start=NearZero(0.3)), Run(2, 5, True, rate=0.5),
    Run(3, 2, rate=0.4, start=SemiOrthogonal()), Run(1, rule=Momentum(), rate=2.0),
    Run(1, rule=EndToEnd(2), rate=0.9, start=NearZero(0.3)), Run(2, rule=Adam(), rate=1e12),
    Run(1, start=NearZero(1e13)), Run(2, start=NearZero(1e7)), Run(2, 3, start=NearZero(1e7)),
]  # fmt: skip


@pytest.mark.parametrize("p", [2.0, 4.0])
@pytest.mark.parametrize("run", DIVERGING, ids=str)
def test_a_diverged_run_names_the_plain_trainers_iteration(run, p):
    problem = Problem(*data(), p)
    result, oracle = train(problem, [run], 200)[0], train_plain(problem, run, 200)
    assert (result.status, result.diverged_at) == (oracle.status, oracle.diverged_at)
    assert result.status == "diverged"
    assert np.array_equal(result.iteration, oracle.iteration)
    assert np.all(result.iteration < result.diverged_at)
    assert np.isfinite(result.loss).all()


def test_records_where_it_is_told_to_and_keeps_the_states_asked_for():
    problem, run = Problem(*data(2), 3.0), Run(2, 4, True, TorchDefault(), rate=1e-3)
    result = train(problem, [run], 40, record_at=[7, 0, 40], states_at=[0, 40])[0]
    oracle = train_plain(problem, run, 40, record_at=[7, 0, 40], states_at=[0, 40])
    assert result.iteration.tolist() == [0, 7, 40]
    assert set(result.states) == {0, 40}
    assert np.array_equal(result.states[0], run.architecture.start(run.start, run.seed, 7, 2))
    assert np.allclose(result.states[40], oracle.states[40], rtol=SAME, atol=1e-13)
    assert deviation(result, oracle) < SAME


def test_single_precision_agrees_with_the_plain_trainer_in_single_precision():
    problem = Problem(*data(), 4.0)
    for run in (Run(2, 3, rate=1e-3), Run(1, rule=Adam(), rate=1e-3), Run(1, rate=1e-3)):
        result = train(problem, [run], 100, dtype=np.float32)[0]
        assert deviation(result, train_plain(problem, run, 100, dtype=np.float32)) < 1e-4
        assert deviation(result, train_plain(problem, run, 100)) > SAME  # it was not in double


@pytest.mark.parametrize(
    ("values", "words"),
    [({"rate": 0.0}, "rate = 0.0.*positive"), ({"rate": np.nan}, "rate = nan.*finite"),
     ({"weight_decay": -1.0}, "weight_decay = -1.0.*zero or positive"),
     ({"depth": 2, "rule": EndToEnd(2)}, "EndToEnd.*got depth 2"),
     ({"bias": True, "rule": EndToEnd(2)}, "EndToEnd.*bias True")],
)  # fmt: skip
def test_a_run_that_cannot_be_is_refused_with_its_value(values, words):
    with pytest.raises(ValueError, match=words):
        Run(**values)


@pytest.mark.parametrize(
    ("make", "words"),
    [(lambda: Momentum(1.0), r"Momentum\(beta=1.0\).*\[0, 1\)"),
     (lambda: Adam(beta2=-0.1), "beta2=-0.1"), (lambda: AdaDelta(rho=2.0), "rho=2.0"),
     (lambda: EndToEnd(0), "depth=0.*1 or more")],
)  # fmt: skip
def test_an_update_rule_that_cannot_be_is_refused_with_its_value(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_end_to_end_rule_is_refused_for_several_outputs():
    with pytest.raises(ValueError, match="this problem has 2"):
        train(Problem(*data(2), 4.0), [Run(rule=EndToEnd(2))], 1)
