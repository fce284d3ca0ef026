"""The architecture: what it accepts, and its product on arrays and tensors."""

import numpy as np
import pytest
import torch

from accel_core.initializers import TorchDefault
from accel_core.models import Architecture, end_to_end
from accel_core.problem import Problem
from accel_core.training import Run, train

RNG = np.random.default_rng(0)
PROBLEM = Problem(RNG.standard_normal((20, 3)), RNG.standard_normal((20, 2)), 4)


def test_any_whole_number_will_do_and_becomes_an_int():
    run = Run(np.int64(2), np.float64(3.0), rate=0.01)
    assert run == Run(2, 3, rate=0.01) and repr(run) == repr(Run(2, 3, rate=0.01))
    assert (type(run.depth), type(run.width)) == (int, int)
    (result,) = train(PROBLEM, [run], 1e2)
    assert result.iteration[-1] == 100


def test_a_width_for_each_hidden_layer():
    run = Run(3, [5, 4], True, TorchDefault(), rate=0.01)
    assert run.width == (5, 4) and hash(run)
    assert run.architecture.sizes(3, 2) == (3, 5, 4, 2)
    assert Run(3, (4, 4)) == Run(3, 4)  # one network has one specification
    (result,) = train(PROBLEM, [run], 50, states_at=[50])
    weights, biases = run.architecture.unpack(result.states[50], 3, 2)
    assert [W.shape for W in weights] == [(5, 3), (4, 5), (2, 4)]
    np.testing.assert_allclose(end_to_end(weights, biases), result.end_to_end[-1], rtol=1e-12)
    assert result.loss[-1] < result.loss[0]


def test_one_run_gives_one_result():
    assert train(PROBLEM, Run(), 10).loss.tolist() == train(PROBLEM, [Run()], 10)[0].loss.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Run(depth=0), "depth = 0: must be a whole number from 1 up"),
        (lambda: Run(depth=1.5), r"depth = 1\.5"),
        (lambda: Run(depth=True), "depth = True"),
        (lambda: Run(depth=np.nan), "depth = nan"),
        (lambda: Run(2, width="3"), "width = '3'"),
        (lambda: Run(2, width=0), "width = 0"),
        (lambda: Run(3, width=[4, 0]), "width = 0"),
        (lambda: Run(2, width=[4, 5]), "2 hidden layers, but depth 2 has 1"),
        (lambda: train(PROBLEM, [], 1.5), r"iterations = 1\.5"),
        (lambda: train(PROBLEM, [], -1), "iterations = -1: .* from 0 up"),
        (lambda: train(PROBLEM, [], "ten"), "iterations = 'ten'"),
        (lambda: Run(2, width=1.5), "width = 1.5: must be a whole number"),
    ],
)
def test_what_is_no_whole_number_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_product_of_tensors_is_differentiable_and_that_of_arrays():
    shape = Architecture(3, 4, True)
    flat = shape.start(TorchDefault(), 0, 3, 2)
    tensor = torch.tensor(flat, requires_grad=True)
    product = end_to_end(*shape.unpack(tensor, 3, 2))
    assert np.allclose(product.detach().numpy(), end_to_end(*shape.unpack(flat, 3, 2)), rtol=1e-14)
    assert torch.autograd.grad(product.sum(), tensor)[0].abs().min() > 0
