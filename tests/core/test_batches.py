"""Batches: what a run's result may depend on, what diverged runs cost, how a state goes on."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from regressions import regression

from accel_core.engine import products
from accel_core.engine import quadratic as chain
from accel_core.engine.batch import Batch
from accel_core.initializers import IdentityOffset, NearZero, TorchDefault
from accel_core.problem import Moments, Problem
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, Momentum
from accel_core.training import Recorder, Run, record_points, train

data = partial(regression, n=131, d=11, seed=2, spread=(0.2, 1.4), shift=0.2, noise=0.3)
MIXED = [
    Run(1, rate=1e-2), Run(2, rate=2e-2, start=NearZero(0.2)), Run(3, 1, rate=1e-2, seed=4),
    Run(2, 5, rate=1e-2),
    Run(3, 1, rate=2e-2, seed=5, start=NearZero(0.3), weight_decay=0.1),
    Run(1, rate=1e-2, weight_decay=0.1),
    Run(4, 3, rate=1e-3, start=IdentityOffset(0.1), weight_decay=0.1),
    Run(3, 1, rate=1e-3, rule=Momentum()), Run(2, 7, rate=1e-3, rule=Momentum(0.5, True)),
    Run(1, rate=1e-2, rule=EndToEnd(3), start=NearZero(0.2)),
]  # fmt: skip
COORDINATEWISE = [
    Run(2, 3, rate=1e-3, rule=Adam()), Run(1, rate=1e-2, rule=AdaGrad()),
    Run(3, 2, rate=1.0, rule=AdaDelta()), Run(2, 1, rate=1e-3, rule=Adam(epsilon_hat=True)),
]  # fmt: skip
BIASED = [replace(run, bias=True) for run in (*MIXED[:-1], *COORDINATEWISE)]
DIVERGING = [Run(1, rate=5.0, seed=9), Run(2, rate=3.0, seed=8, start=NearZero(0.3)),
             Run(3, 4, rate=3.0, seed=7, start=TorchDefault())]  # fmt: skip


def same(one, other):
    return (
        one.status == other.status
        and one.diverged_at == other.diverged_at
        and np.array_equal(one.loss, other.loss)
        and np.array_equal(one.end_to_end, other.end_to_end)
    )


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("runs", [MIXED, COORDINATEWISE, BIASED], ids=["mixed", "adaptive", "bias"])
def test_a_run_gives_the_same_bits_alone_first_last_and_among_runs_that_diverge(runs, p):
    problem = Problem(*data(), p)
    runs = [replace(run, rate=run.rate if p == 2 else run.rate / 30) for run in runs]
    diverging = [replace(run, bias=runs[0].bias) for run in DIVERGING]
    alone = [train(problem, [run], 300)[0] for run in runs]
    forth = train(problem, runs, 300)
    back = train(problem, runs[::-1], 300)[::-1]
    woven = [run for group in zip(runs, diverging * len(runs), strict=False) for run in group]
    among = train(problem, woven, 300)
    assert all(r.status == "diverged" for r in among[1::2])
    for one, *others in zip(alone, forth, back, among[::2], strict=True):
        assert one.status == "completed"
        assert all(same(one, other) for other in others), one.run


@pytest.mark.parametrize("eigen", [None, False])
@pytest.mark.parametrize("p", [2.0, 4.0])
@pytest.mark.parametrize("runs", [MIXED, COORDINATEWISE, BIASED], ids=["mixed", "adaptive", "bias"])
def test_a_restored_state_goes_on_to_the_bit(runs, p, eigen):
    problem, runs = (
        Problem(*data(), p),
        [*runs, *(replace(r, bias=runs[0].bias) for r in DIVERGING)],
    )
    straight, halves = (Batch(problem, runs, eigen=eigen) for _ in range(2))
    straight.advance(200)
    halves.advance(1)
    halves.advance(122)
    state = {name: np.copy(value) for name, value in halves.state().items()}
    halves.advance(500)  # what a restored batch holds before it is restored must not matter
    for batch in (halves, Batch(problem, runs, eigen=eigen)):
        batch.restore(state)
        batch.advance(77)
        assert batch.done == straight.done == 200
        assert np.array_equal(batch.diverged, straight.diverged)
        assert batch.remaining == straight.remaining < len(runs)
        for i in np.flatnonzero(straight.diverged < 0):
            assert np.array_equal(batch.parameters(i), straight.parameters(i))


def test_a_run_that_diverged_is_touched_no_more_and_leaves_the_products():
    problem = Problem(*data(), 4.0)
    runs = [*DIVERGING, Run(1, rate=1e-3), *DIVERGING, Run(2, 2, rate=1e-3)]
    batch = Batch(problem, runs)
    full = batch.cost
    batch.advance(100)
    assert batch.remaining == 2
    assert (batch.diverged >= 0).tolist() == [True] * 3 + [False] + [True] * 3 + [False]
    assert batch.cost < full / 3
    left, theta = batch.diverged >= 0, batch._state.theta.copy()
    batch._work.G[:] = np.pi  # rows that are not computed keep this
    batch.advance(50)
    for i in np.flatnonzero(left):
        assert np.array_equal(batch._part(i, theta), batch._part(i))
    untouched = np.all(np.pi == batch._work.G, axis=1)
    assert untouched.tolist() == [False] * products.TILE + [True] * (len(untouched) - products.TILE)


def test_a_batch_with_nothing_left_does_nothing():
    batch = Batch(Problem(*data(), 4.0), DIVERGING)
    batch.advance(100)
    assert (batch.remaining, batch.cost) == (0, 0)
    batch._work.G[:] = np.pi
    batch.advance(10**12)  # would take days
    assert np.all(np.pi == batch._work.G)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_the_eigenbasis_gives_what_second_moments_and_rows_give(k, bias):
    problem = Problem(*data(k), 2.0)
    runs = [run for run in MIXED if (k == 1 and not bias) or not isinstance(run.rule, EndToEnd)]
    runs = [replace(run, bias=bias) for run in runs]
    points = record_points(500)
    eigen, dense = (
        Recorder(Batch(problem, runs, eigen=e), points, [500]).run(500) for e in (True, False)
    )
    for one, other in zip(eigen, dense, strict=True):
        assert np.allclose(one.loss, other.loss, rtol=1e-11, atol=0)
        assert np.allclose(one.end_to_end, other.end_to_end, rtol=0, atol=1e-11)
        assert np.allclose(one.states[500], other.states[500], rtol=0, atol=1e-11)
        W = one.end_to_end[-1]
        split = (W[:, :-1], W[:, -1]) if bias else (W, None)
        assert one.loss[-1] == pytest.approx(problem.loss(*split), rel=1e-11)  # on the rows


def test_the_eigenbasis_is_no_place_for_a_coordinatewise_rule():
    problem = Problem(*data(), 2.0)
    for rule in (Adam(), AdaGrad(), AdaDelta()):
        with pytest.raises(ValueError, match="cannot be trained in the eigenbasis"):
            Batch(problem, [Run(rule=rule)], eigen=True)


def test_a_rotation_of_the_inputs_changes_a_coordinatewise_run_and_no_other():
    X, y = data()
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((X.shape[1],) * 2))[0]

    def losses(run, rotated):
        problem = Problem(X @ Q if rotated else X, y, 2.0)
        batch = Batch(problem, [run], eigen=False)
        flat = batch.parameters(0)
        if rotated:  # the same start, in the rotated coordinates
            first = run.architecture.sizes(X.shape[1])[1] * X.shape[1]
            flat[:first] = (flat[:first].reshape(-1, X.shape[1]) @ Q).ravel()
            batch.place(0, flat)
        return Recorder(batch, record_points(200), ()).run(200)[0].loss

    for run in (*MIXED, *COORDINATEWISE):
        change = np.abs(losses(run, True) / losses(run, False) - 1).max()
        assert (change < 1e-11) == run.rule.rotation_equivariant, run
        assert change < 1e-11 or change > 1e-4


@pytest.mark.parametrize("runs", [MIXED, COORDINATEWISE, BIASED], ids=["mixed", "adaptive", "bias"])
def test_least_squares_needs_second_moments_only(runs):
    X, y = data(1)
    rows, moments = Problem(X, y, 2.0), Problem.from_moments(Moments.of(X, y))
    for one, other in zip(train(rows, runs, 300), train(moments, runs, 300), strict=True):
        assert np.array_equal(one.end_to_end, other.end_to_end)
        assert np.allclose(one.loss, other.loss, rtol=1e-12, atol=0)


def test_a_batch_names_what_cannot_be_together():
    problem = Problem(*data(), 2.0)
    with pytest.raises(ValueError, match="with and without bias"):
        Batch(problem, [Run(), Run(bias=True)])


def test_runs_are_placed_before_the_first_iteration_only():
    batch = Batch(Problem(*data(), 4.0), [Run(2, 3, rate=1e-3), Run(1)])
    flat = np.arange(36.0) / 36
    batch.place(0, flat)
    assert np.array_equal(batch.parameters(0), flat)
    batch.advance(1)
    with pytest.raises(ValueError, match="1 iterations are made"):
        batch.place(0, flat)


class TestClosedForm:
    """A single layer under gradient descent: w ← w − η(s⊙w − y + λw), step by step and at once."""

    # slow and fast directions, one that no data reach, one beyond 2/η that grows
    SPREAD = np.array([1e-9, 1e-3, 0.4, 1.0, 1.7, 0.0, -1e-17, 1.99, 2.001])
    TARGET = np.array([1e-9, 2e-3, 0.3, -1.0, 0.5, 1e-4, 1e-4, 1.0, 1e-3])

    @pytest.mark.parametrize("decay", [0.0, 0.01])
    @pytest.mark.parametrize("steps", [0, 1, 2, 3, 1_000, 5_001])
    def test_equals_the_iteration(self, steps, decay):
        w = start = np.linspace(-1, 1, 9)
        for _ in range(steps):
            w = w - (self.SPREAD * w - self.TARGET + decay * w)
        got = chain.closed_form(start, steps, self.SPREAD, self.TARGET, 1.0, decay)
        assert np.allclose(got, w, rtol=1e-11, atol=1e-12)

    def test_names_the_step_at_which_the_norm_passes_the_limit(self):
        constants = (self.SPREAD, self.TARGET, 1.0, 0.0)
        w = start = np.linspace(-1, 1, 9)
        norms = []
        for _ in range(20_000):
            norms.append(np.linalg.norm(w))
            w = w - (self.SPREAD * w - self.TARGET)
        left = int(np.argmax(np.array(norms) > 1e5))
        assert 1_000 < left < 19_000
        assert chain.leaves(start, left - 1, 1e5, *constants) is None
        for steps in (left, left + 1, 19_000, 10**9):
            assert chain.leaves(start, steps, 1e5, *constants) == left

    def test_costs_nothing_a_step(self):
        batch = Batch(Problem(*data(), 2.0), [Run(rate=1e-3), Run(rate=1e-4)])
        assert batch.cost == 0
        batch.advance(10**15)  # would take years
        optimum = batch.data.problem.optimum().loss
        assert batch.data.loss(batch.end_to_end()[1]) == pytest.approx(optimum, rel=1e-14)

    def test_serves_plain_gradient_descent_in_double_precision_only(self):
        problem = Problem(*data(), 2.0)
        for runs, dtype in (([Run(rule=Momentum())], float), ([Run()], np.float32)):
            assert Batch(problem, runs, dtype).cost > 0
        assert Run(2, 1).is_chain and Run(1, 5).is_chain
        assert not any(r.is_chain for r in (Run(2, 2), Run(2, bias=True), Run(rule=Momentum())))
