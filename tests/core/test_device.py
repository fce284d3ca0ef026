"""The stacked trainer for GPUs gives what `train` gives: on the CPU, and on a GPU where one is."""

import numpy as np
import pytest
import torch
from regressions import deviation, regression

from accel_core.engine.device import DeviceBatch
from accel_core.initializers import NearZero, TorchDefault
from accel_core.problem import Problem
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from accel_core.training import Recorder, Run, record_points, train

ON = ["cpu", *["cuda"] * torch.cuda.is_available()]
ITERATIONS = 200
SAME = 1e-9
RULES = (
    GradientDescent(), Momentum(0.8), Momentum(0.8, nesterov=True), Adam(), Adam(epsilon_hat=True),
    AdaGrad(), AdaGrad(accumulator=0.1), AdaDelta(), EndToEnd(3),
)  # fmt: skip


def problem(p, k=1):
    return Problem(*regression(k, 60, 5, spread=(0.2, 1.0), noise=0.1), p)


def trained(problem, runs, device, iterations=ITERATIONS, states_at=()):
    batch = DeviceBatch(problem, runs, device)
    return Recorder(batch, record_points(iterations), states_at).run(iterations)


@pytest.mark.parametrize("device", ON)
@pytest.mark.parametrize(
    ("p", "bias", "k"),
    [(2.0, False, 1), (2.0, True, 2), (2.5, False, 2), (4.0, False, 1), (4.0, True, 2)],
)
def test_it_gives_what_the_compiled_trainer_gives(device, p, bias, k):
    """All rules, depths and widths in one batch, with weight decay in some of them."""
    start = TorchDefault() if bias else NearZero(0.3)
    runs = [
        Run(depth, width, bias, start, seed, rule, 5e-4, 0.01 * (seed % 2))
        for depth, width in ((1, 1), (2, 1), (3, 5))
        for seed, rule in enumerate(RULES)
        if not isinstance(rule, EndToEnd) or (depth == 1 and not bias and k == 1)
    ]
    ours = trained(problem(p, k), runs, device, states_at=[ITERATIONS])
    for run, found, known in zip(
        runs, ours, train(problem(p, k), runs, ITERATIONS, states_at=[ITERATIONS]), strict=True
    ):
        assert (found.status, known.status) == ("completed", "completed"), run
        assert deviation(found, known) < SAME, run
        state, wanted = (each.states[ITERATIONS] for each in (found, known))
        assert np.abs(state - wanted).max() < SAME * np.abs(wanted).max(), run


@pytest.mark.parametrize("device", ON)
def test_diverged_runs_leave_at_the_same_iteration_and_the_others_go_on(device):
    rates = [1e-3, 1.0, 2e-3, 3.0, 5.0]
    runs = [Run(depth, rate=rate) for depth in (1, 2) for rate in rates]
    for found, known in zip(
        trained(problem(4.0), runs, device, 300), train(problem(4.0), runs, 300), strict=True
    ):
        assert (found.status, found.diverged_at) == (known.status, known.diverged_at)
        assert found.iteration.tolist() == known.iteration.tolist()
