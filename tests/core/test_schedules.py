"""Schedules and clipping: each engine does what the formula says, and the oracle finds the edge."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from regressions import deviation
from regressions import regression as data

from accel_core.engine.batch import Batch
from accel_core.engine.device import DeviceBatch
from accel_core.initializers import NearZero, TorchDefault
from accel_core.models import Architecture
from accel_core.problem import Problem
from accel_core.rules import Momentum
from accel_core.schedules import Constant, Sharpness, WarmUp
from accel_core.sharpness import gradient, hessian_product, sharpness
from accel_core.training import Recorder, Run, record_points, train

ITERATIONS = 1_000
SAME = 1e-9
SCHEDULES = {
    "warm-up": {"schedule": WarmUp(300)},
    "clip": {"clip": 0.05},
    "both": {"schedule": WarmUp(300), "clip": 0.05},
    "sharpness": {"schedule": Sharpness(4), "rate": 0.2},
    "sharpness and clip": {"schedule": Sharpness(7), "rate": 0.3, "clip": 0.05},
}
MODELS = [
    Run(1), Run(2, start=NearZero(0.2)), Run(3, start=NearZero(0.3)),
    Run(2, 4, True, TorchDefault()), Run(2, rule=Momentum(0.8), start=NearZero(0.2)),
]  # fmt: skip


def with_rate(p, run, change):
    rate = {2.0: 2e-2, 4.0: 1e-3}[p] * (0.2 if isinstance(run.rule, Momentum) else 1)
    run = replace(run, **{"rate": rate} | change)
    if isinstance(run.rule, Momentum) and run.schedule.every:
        run = replace(run, rate=0.02)  # heavy ball at the edge of plain descent
    return run


@pytest.mark.parametrize(
    ("name", "p"), [*((name, 4.0) for name in SCHEDULES), ("both", 2.0), ("sharpness", 2.0)]
)
def test_the_engines_agree(name, p):
    """Over 1,000 iterations; two outputs and the stacked engine over fewer, which cost more."""
    for k, iterations in ((1, ITERATIONS), (2, 50)):
        problem = Problem(*data(k), p)
        runs = [with_rate(p, run, SCHEDULES[name]) for run in MODELS if k == 1 or run.bias]
        compiled = train(problem, runs, iterations)
        readable = train(problem, runs, iterations, engine="torch")
        steady = [replace(run, schedule=Constant(), clip=np.inf) for run in runs]
        for one, other, same in zip(compiled, readable, train(problem, steady, 20), strict=True):
            assert one.status == "completed" and deviation(one, other) < SAME, one.run
            early = np.searchsorted(one.iteration, 21)
            assert not np.array_equal(one.loss[1:early], same.loss[1:early]), "it does nothing"
        if "sharpness" not in name and k == 1:
            chosen = [run for run in runs if not run.bias]
            found = Recorder(DeviceBatch(problem, chosen, "cpu"), record_points(200), []).run(200)
            assert max(map(deviation, found, train(problem, chosen, 200))) < SAME


@pytest.mark.parametrize("p", [2.0, 4.0])
def test_a_warm_up_of_one_step_and_a_clip_that_never_binds_change_no_bit(p):
    problem = Problem(*data(), p)
    runs = [with_rate(p, run, {}) for run in MODELS if not run.is_chain and not run.bias]
    runs.append(with_rate(p, Run(2, 3), {}))

    def ends(**change):
        batch = Batch(problem, [replace(run, **change) for run in runs], eigen=p == 2)
        return [r.end_to_end for r in Recorder(batch, record_points(300), []).run(300)]

    for change in ({"schedule": WarmUp(1)}, {"clip": 1e30}):
        assert all(map(np.array_equal, ends(**change), ends()))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rotation_of_the_inputs_changes_nothing(name):
    """The norm of the gradient and the sharpness do not depend on the basis: ℓ2 runs under any
    schedule may be trained in the eigenbasis of XᵀX/n."""
    problem = Problem(*data(), 2.0)
    runs = [with_rate(2.0, run, SCHEDULES[name]) for run in MODELS if not run.bias]
    points = record_points(300)
    eigen, rows = (
        Recorder(Batch(problem, runs, eigen=e), points, []).run(300) for e in (True, False)
    )
    assert max(map(deviation, eigen, rows)) < SAME


def test_a_rate_that_is_unstable_after_a_warm_up_diverges_at_l2():
    """In the eigenbasis it would not: the steep coordinate is at its optimum to the last bit."""
    problem = Problem(*data(), 2.0)
    limit = 2 / np.linalg.eigvalsh(2 * problem.moments.xx)[-1]
    run = Run(rate=2 * limit, schedule=WarmUp(200))
    assert train(problem, run, 2_000).status == "diverged"
    assert train(problem, run, 2_000, engine="torch").status == "diverged"
    batch = Batch(problem, [run], eigen=True)
    batch.advance(2_000)
    assert batch.remaining == 1


def test_l2_runs_with_and_without_a_schedule_are_parted():
    problem, both = Problem(*data(), 2.0), [Run(), Run(clip=1.0)]
    with pytest.raises(ValueError, match="cannot share a batch"):
        Batch(problem, both)
    together, alone = train(problem, both, 50), [train(problem, run, 50) for run in both]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.loss, other.loss)


@pytest.mark.parametrize("p", [2.0, 4.0])
def test_a_schedule_goes_on_from_a_saved_state_and_beside_others(p):
    problem = Problem(*data(), p)
    runs = [with_rate(p, MODELS[i % 3], change) for i, change in enumerate(SCHEDULES.values())]
    straight, halves, again = (Batch(problem, runs) for _ in range(3))
    straight.advance(100)
    halves.advance(33)
    again.restore({name: np.copy(array) for name, array in halves.state().items()})
    again.advance(67)
    for i, run in enumerate(runs):
        alone = Batch(problem, [run])
        alone.advance(100)
        assert np.array_equal(straight.parameters(i), again.parameters(i))
        assert np.array_equal(straight.parameters(i), alone.parameters(0))


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
@pytest.mark.parametrize(
    "shape", [Architecture(1), Architecture(3), Architecture(3, 4, True)], ids=str
)
@pytest.mark.parametrize("k", [1, 2])
def test_the_hessian_is_that_of_automatic_differentiation(p, shape, k):
    problem, rng = Problem(*data(k), p), np.random.default_rng(1)
    flat = 0.5 * rng.standard_normal(shape.count(problem.d, k))
    product = hessian_product(problem, shape, flat)
    found = np.stack([product(row) for row in np.eye(len(flat))])
    slope, h = partial(gradient, problem, shape), 1e-6
    changes = [
        (slope(flat + h * row) - slope(flat - h * row)) / (2 * h) for row in np.eye(len(flat))
    ]
    np.testing.assert_allclose(changes, found, rtol=1e-5, atol=1e-6)
    assert np.allclose(found, autograd_hessian(problem, shape, flat), rtol=1e-10, atol=1e-10)


def autograd_hessian(problem, shape, flat):
    X, y = torch.as_tensor(problem.X), torch.as_tensor(problem.y)

    def loss(theta):
        weights, biases = shape.unpack(theta, problem.d, problem.k)
        x = X
        for j, W in enumerate(weights):
            x = x @ W.T + (biases[j] if biases else 0)
        return (x - y).abs().pow(problem.p).sum(1).mean()

    return torch.autograd.functional.hessian(loss, torch.as_tensor(flat)).numpy()


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("p", [2.0, 4.0])
def test_the_oracles_rate_is_that_of_a_direct_eigenvalue(p, depth):
    """20 points of a run of more parameters than Lanczos' basis, warm-started from one to the next;
    depth 2 and 3 begin at a saddle."""
    problem = Problem(*data(n=90, d=30), p)
    run = Run(depth, rate=0.4, schedule=Sharpness(1))
    points = np.arange(0, 400, 20)
    batch = Batch(problem, [run])
    for t in points:
        batch.advance(int(t - batch.done))
        flat = batch.parameters(0)
        largest = np.linalg.eigvalsh(autograd_hessian(problem, run.architecture, flat))[-1]
        batch.advance(1)  # measures here, and steps
        assert batch._models.rates[0] == pytest.approx(0.4 * 2 / largest, rel=1e-7)


def test_a_saddle_that_is_steeper_downwards_counts_by_its_largest_eigenvalue():
    problem = Problem([[1.0]], [1.0], 2.0)  # L = (ab − 1)², at a = b = 0: eigenvalues ±2
    assert sharpness(problem, Architecture(2), np.zeros(2))[0] == pytest.approx(2)


def test_where_nothing_is_steep_no_step_is_made():
    problem = Problem(*data(), 4.0)
    (found,) = train(problem, [Run(3, start=NearZero(0.0), schedule=Sharpness(2))], 10)
    assert found.status == "completed"
    assert not found.end_to_end.any()


@pytest.mark.parametrize(
    ("make", "words"),
    [(partial(WarmUp, 0), "steps = 0: must be a whole number"),
     (partial(Sharpness, 2.5), r"every = 2\.5"),
     (partial(Run, clip=0.0), "clip = 0.0.*positive"),
     (partial(Run, clip=np.nan), "clip = nan"),
     (partial(Run, schedule=10), "schedule = 10.*WarmUp"),
     (lambda: train(Problem(*data()), [Run()], 1, engine="jax"), "engine = 'jax'.*compiled, torch"),
     (lambda: train(Problem(*data()), [Run()], 1, device="gpu"), "this machine has")],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_value(make, words):
    with pytest.raises(ValueError, match=words):
        make()
