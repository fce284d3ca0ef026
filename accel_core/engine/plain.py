"""The plain trainer: one model at a time, with `torch.nn`, autograd and `torch.optim`.

It is the oracle of the batched trainer and the yardstick of its speed, and has no cleverness.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from accel_core.engine.kernels import DIVERGED
from accel_core.models import Architecture, end_to_end
from accel_core.problem import Problem
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from accel_core.training import Result, Run, record_points

Array = NDArray[np.float64]

__all__ = ["LinearNetwork", "train_plain"]


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


class _Claim2(torch.optim.Optimizer):
    """The end-to-end rule on a single layer with one output."""

    def __init__(self, parameters, lr, weight_decay, depth):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "depth": depth})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            eta, decay, N = group["lr"], group["weight_decay"], group["depth"]
            for W in group["params"]:
                norm = W.norm()
                along = W * (W * W.grad).sum() / norm**2 if norm > 0 else torch.zeros_like(W)
                step = norm ** (2 - 2 / N) * (W.grad + (N - 1) * along)
                W.mul_(1 - eta * decay * N).sub_(eta * step)


class _TensorFlowAdam(torch.optim.Optimizer):
    """Adam with ε outside the bias correction, as TensorFlow 1 computes it."""

    def __init__(self, parameters, lr, betas, eps, weight_decay):
        super().__init__(
            parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (b1, b2), t = group["betas"], group.get("t", 0) + 1
            group["t"] = t
            rate = group["lr"] * (1 - b2**t) ** 0.5 / (1 - b1**t)
            for W in group["params"]:
                state = self.state[W]
                g = W.grad + group["weight_decay"] * W
                state["m"] = b1 * state.get("m", torch.zeros_like(W)) + (1 - b1) * g
                state["v"] = b2 * state.get("v", torch.zeros_like(W)) + (1 - b2) * g * g
                W.sub_(rate * state["m"] / (state["v"].sqrt() + group["eps"]))


def optimizer(run: Run, parameters) -> torch.optim.Optimizer:
    """The run's update rule as a torch optimizer."""
    common = {"lr": run.rate, "weight_decay": run.weight_decay}
    match run.rule:
        case GradientDescent():
            return torch.optim.SGD(parameters, **common)
        case Momentum(beta, nesterov):
            return torch.optim.SGD(parameters, momentum=beta, nesterov=nesterov, **common)
        case EndToEnd(depth):
            return _Claim2(parameters, depth=depth, **common)
        case Adam(beta1, beta2, epsilon, epsilon_hat):
            kind = _TensorFlowAdam if epsilon_hat else torch.optim.Adam
            return kind(parameters, betas=(beta1, beta2), eps=epsilon, **common)
        case AdaGrad(accumulator, epsilon):
            return torch.optim.Adagrad(
                parameters, initial_accumulator_value=accumulator, eps=epsilon, **common
            )
        case AdaDelta(rho, epsilon):
            return torch.optim.Adadelta(parameters, rho=rho, eps=epsilon, **common)
    raise ValueError(f"rule = {run.rule!r}: no torch optimizer is known for it")


def train_plain(
    problem: Problem,
    run: Run,
    iterations: int,
    *,
    record_at: Sequence[int] | None = None,
    states_at: Sequence[int] = (),
    dtype: torch.dtype = torch.float64,
) -> Result:
    """Trains one run on the rows of the problem; same statuses and result as `training.train`.

    >>> problem = Problem([[1.0]], [1.0])
    >>> train_plain(problem, Run(rate=0.25), 1, record_at=[1]).loss.round(4)
    array([0.2494])
    """
    X, y = (torch.as_tensor(a, dtype=dtype) for a in (problem.X, problem.y))
    model = LinearNetwork(run.architecture, problem.d, problem.k, dtype)
    model.load_flat(run.architecture.start(run.start, run.seed, problem.d, problem.k))
    step = optimizer(run, model.parameters())
    points = record_points(iterations) if record_at is None else np.asarray(sorted(record_at))
    wanted = set(points.tolist())
    kept, losses, products, states, left = [], [], [], {}, None
    for t in range(iterations + 1):
        weights = [layer.weight for layer in model]
        with torch.no_grad():
            product = end_to_end_torch(weights, [layer.bias for layer in model])
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
            loss.backward()
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


def end_to_end_torch(weights, biases) -> torch.Tensor:
    """`models.end_to_end` of torch layers."""
    arrays = [[a.detach().numpy() for a in group if a is not None] for group in (weights, biases)]
    return torch.as_tensor(end_to_end(*arrays)).clone()  # a single layer gives a view
