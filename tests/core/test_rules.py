"""Each update rule, written down once more in NumPy, and every engine held to that one table.

The page with two points to play with has gradient descent and the end-to-end rule in JavaScript:
`tests/book/test_play.py` holds those to the torch engine and to the theory.
"""

from itertools import pairwise

import numpy as np
import pytest

from accel_core.engine.device import DeviceBatch
from accel_core.problem import Problem
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from accel_core.schedules import WarmUp
from accel_core.training import Recorder, Run, train

STEPS, SAME = 25, 1e-11


def end_to_end(N):
    def step(t, W, g, m, v):
        n = np.linalg.norm(W)
        return n ** (2 - 2 / N) * (g + (N - 1) * W * (W @ g) / n**2), m, v

    return step


def momentum(beta, nesterov):
    def step(t, W, g, m, v):
        m = beta * m + g
        return g + beta * m if nesterov else m, m, v

    return step


def adam(b1, b2, epsilon, hat):
    def step(t, W, g, m, v):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        root = np.sqrt(1 - b2 ** (t + 1))
        size = (np.sqrt(v) + epsilon) / root if hat else np.sqrt(v) / root + epsilon
        return m / (1 - b1 ** (t + 1)) / size, m, v

    return step


def adagrad(epsilon):
    return lambda t, W, g, m, v: (g / (np.sqrt(m + g**2) + epsilon), m + g**2, v)


def adadelta(rho, epsilon):
    def step(t, W, g, m, v):
        m = rho * m + (1 - rho) * g**2
        step = g * np.sqrt(v + epsilon) / np.sqrt(m + epsilon)
        return step, m, rho * v + (1 - rho) * step**2

    return step


# rule → (what is subtracted times the rate, and the two buffers afterwards; the rate)
TABLE = {
    GradientDescent(): (lambda t, W, g, m, v: (g, m, v), 1e-2),
    Momentum(0.8): (momentum(0.8, False), 3e-3),
    Momentum(0.8, nesterov=True): (momentum(0.8, True), 3e-3),
    EndToEnd(3): (end_to_end(3), 1e-2),
    Adam(0.8, 0.99, 1e-3): (adam(0.8, 0.99, 1e-3, False), 1e-2),
    Adam(0.8, 0.99, 1e-3, epsilon_hat=True): (adam(0.8, 0.99, 1e-3, True), 1e-2),
    AdaGrad(): (adagrad(1e-10), 5e-2),
    AdaGrad(0.1, 0.0): (adagrad(0.0), 5e-2),
    AdaDelta(0.95, 1e-4): (adadelta(0.95, 1e-4), 1.0),
}
ENGINES = {
    "compiled": lambda problem, run: train(problem, run, STEPS),
    "torch": lambda problem, run: train(problem, run, STEPS, engine="torch"),
    "stacked": lambda problem, run: Recorder(
        DeviceBatch(problem, [run], "cpu"), [STEPS], []
    ).run(STEPS)[0],
}  # fmt: skip


def problem():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((30, 4))
    return Problem(X, X @ [1.0, -0.5, 0.3, 0.2] + 0.1 * rng.standard_normal(30), 4.0)


def written_out(problem, run, formula):
    """W after STEPS steps of a single layer, with the run's decay, warm-up and clipping."""
    W = run.architecture.start(run.start, run.seed, problem.d)
    m, v = np.full(problem.d, run.rule.first_buffer), np.zeros(problem.d)
    for t in range(STEPS):
        g = problem.gradient(W[None])[0]
        g = g * min(1.0, run.clip / np.linalg.norm(g))
        rate = run.rate * run.schedule.share(t)
        if isinstance(run.rule, EndToEnd):  # its decay is that of every emulated layer
            step, m, v = formula(t, W, g, m, v)
            W = (1 - rate * run.weight_decay * run.rule.depth) * W - rate * step
        else:
            step, m, v = formula(t, W, g + run.weight_decay * W, m, v)
            W = W - rate * step
    return W


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", TABLE, ids=str)
def test_every_engine_does_what_the_table_says(rule, engine):
    formula, rate = TABLE[rule]
    for options in ({}, {"weight_decay": 0.1}, {"schedule": WarmUp(10), "clip": 0.5}):
        run = Run(rule=rule, rate=rate, **options)
        found = ENGINES[engine](problem(), run).end_to_end[-1, 0]
        wanted = written_out(problem(), run, formula)
        assert np.abs(found - wanted).max() < SAME * np.abs(wanted).max()


def test_no_two_rows_of_the_table_do_the_same():
    ends = [written_out(problem(), Run(rule=r, rate=1e-2), f) for r, (f, _) in TABLE.items()]
    assert all(np.abs(a - b).max() > 1e-6 for a, b in pairwise(ends))
