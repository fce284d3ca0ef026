"""The readable trainer: one network at a time, with `torch.nn`, autograd and `torch.optim`.

`train(..., engine="torch")` comes here. It is the oracle of the compiled trainer and the yardstick
of its speed, and has no cleverness.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils import parameters_to_vector

from accel_core import rules
from accel_core.engine.device import stepped
from accel_core.engine.kernels import DIVERGED
from accel_core.models import Architecture, end_to_end
from accel_core.problem import Problem
from accel_core.sharpness import sharpness

if TYPE_CHECKING:
    from accel_core.training import Result, Run

Array = NDArray[np.float64]


class LinearNetwork(torch.nn.Sequential):
    """The same network as a `torch.nn` module: N `Linear` layers and nothing between them.

    >>> network = LinearNetwork(Architecture(depth=2), d=2).load_flat(np.array([1.0, 2.0, 3.0]))
    >>> network(torch.tensor([[1.0, 1.0]], dtype=torch.float64)).item()
    9.0
    """

    def __init__(self, architecture: Architecture, d: int, k: int = 1, dtype=torch.float64):
        sizes = architecture.sizes(d, k)
        super().__init__(
            *[
                torch.nn.utils.skip_init(torch.nn.Linear, n, m, bias=architecture.bias, dtype=dtype)
                for n, m in pairwise(sizes)
            ]
        )

    @torch.no_grad()
    def load_flat(self, flat: Array) -> LinearNetwork:
        """Takes the parameters from a flat vector in `Architecture`'s order."""
        torch.nn.utils.vector_to_parameters(
            torch.as_tensor(flat, dtype=next(self.parameters()).dtype), self.parameters()
        )
        return self

    def flat(self) -> Array:
        """The parameters as one flat float64 vector, in `Architecture`'s order."""
        return torch.nn.utils.parameters_to_vector(self.parameters()).detach().double().numpy()


class _Ours(torch.optim.Optimizer):
    """What `torch.optim` lacks: the end-to-end rule, and Adam with TensorFlow 1's place for ε."""

    def __init__(self, parameters, rule: rules.UpdateRule, lr: float, weight_decay: float):
        super().__init__(parameters, {"rule": rule, "lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for W in group["params"]:
                if not (state := self.state[W]):
                    state |= {"t": 0, "first": torch.zeros_like(W), "second": torch.zeros_like(W)}
                rate, decay = group["lr"], group["weight_decay"]
                W.copy_(stepped(group["rule"], W, W.grad, **state, rate=rate, decay=decay))
                state["t"] += 1


def optimizer(run: Run, parameters) -> torch.optim.Optimizer:
    """The run's update rule as a torch optimizer."""
    common = {"lr": run.rate, "weight_decay": run.weight_decay}
    match run.rule:
        case rules.GradientDescent():
            return torch.optim.SGD(parameters, **common)
        case rules.Momentum(beta, nesterov):
            return torch.optim.SGD(parameters, momentum=beta, nesterov=nesterov, **common)
        case rules.EndToEnd() | rules.Adam(epsilon_hat=True):
            return _Ours(parameters, run.rule, **common)
        case rules.Adam(beta1, beta2, epsilon):
            return torch.optim.Adam(parameters, betas=(beta1, beta2), eps=epsilon, **common)
        case rules.AdaGrad(accumulator, epsilon):
            return torch.optim.Adagrad(
                parameters, initial_accumulator_value=accumulator, eps=epsilon, **common
            )
        case rules.AdaDelta(rho, epsilon):
            return torch.optim.Adadelta(parameters, rho=rho, eps=epsilon, **common)
    raise ValueError(f"rule = {run.rule!r}: no torch optimizer is known for it")


def train_network(
    problem: Problem,
    run: Run,
    iterations: int,
    points: Sequence[int],
    states_at: Sequence[int] = (),
    dtype=np.float64,
) -> Result:
    """Trains one run on the rows of the problem; the arguments and the result of `train`."""
    from accel_core.training import Result

    kind = torch.from_numpy(np.zeros(0, dtype)).dtype
    X, y = (torch.as_tensor(a, dtype=kind) for a in (problem.X, problem.y))
    model = LinearNetwork(run.architecture, problem.d, problem.k, kind)
    model.load_flat(run.architecture.start(run.start, run.seed, problem.d, problem.k))
    step = optimizer(run, model.parameters())
    wanted, rate = set(np.asarray(points).tolist()), 0.0
    kept, losses, products, states, left = [], [], [], {}, None
    for t in range(iterations + 1):
        product = _end_to_end(model)
        if not product.norm() <= DIVERGED:
            left = t
            break
        step.zero_grad()
        loss = (model(X) - y).abs().pow(problem.p).sum(1).mean()
        if t in wanted:
            kept.append(t)
            losses.append(loss.item())
            products.append(product.double().numpy())
        if t in states_at:
            states[t] = model.flat()
        if t < iterations:
            if not run.schedule.every:
                rate = run.rate * run.schedule.share(t)
            elif t % run.schedule.every == 0:
                steepest = sharpness(problem, run.architecture, model.flat())[0]
                rate = run.rate * 2 / steepest if steepest > 0 else rate
            loss.backward()
            _clip(model, run.clip)
            for group in step.param_groups:
                group["lr"] = rate
            step.step()
    return Result(
        run,
        "completed" if left is None else "diverged",
        left,
        np.array(kept, np.int64),
        np.array(losses),
        np.array(products).reshape(len(kept), problem.k, problem.d + run.bias),
        states,
    )


@torch.no_grad()
def _clip(model: LinearNetwork, clip: float) -> None:
    """Shortens the whole gradient to the norm `clip`; `torch.nn.utils.clip_grad_norm_` would add
    1e-6 to the norm."""
    gradients = [layer.grad for layer in model.parameters()]
    norm = parameters_to_vector(gradients).norm()
    if norm > clip:
        for gradient in gradients:
            gradient.mul_(clip / norm)


@torch.no_grad()
def _end_to_end(model: LinearNetwork) -> torch.Tensor:
    """`models.end_to_end` of the network's layers."""
    weights = [layer.weight.numpy() for layer in model]
    biases = [layer.bias.numpy() for layer in model if layer.bias is not None]
    return torch.as_tensor(end_to_end(weights, biases)).clone()  # a single layer gives a view
