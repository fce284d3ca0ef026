"""The readable trainer: one network at a time, with `torch.nn`, autograd and `torch.optim`.

`train(..., engine="torch")` comes here. It is the oracle of the compiled trainer and the yardstick
of its speed, and has no cleverness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils import parameters_to_vector

from accel_core.engine.kernels import DIVERGED
from accel_core.models import end_to_end
from accel_core.network import LinearNetwork
from accel_core.problem import Problem
from accel_core.rules import AdaDelta, AdaGrad, Adam, EndToEnd, GradientDescent, Momentum
from accel_core.sharpness import largest_eigenvalue

if TYPE_CHECKING:
    from accel_core.training import Result, Run

Array = NDArray[np.float64]

__all__ = ["optimizer", "train_network"]


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
    follow = _Follower(run) if run.schedule.every else None
    wanted = set(np.asarray(points).tolist())
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
            rate = follow(t, loss, model) if follow else run.rate * run.schedule.share(t)
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


class _Follower:
    """The rate that follows 2/sharpness: see `schedules.Sharpness`."""

    def __init__(self, run: Run):
        self.run, self.rate, self.steepest = run, 0.0, None

    def __call__(self, t: int, loss: torch.Tensor, model: LinearNetwork) -> float:
        if t % self.run.schedule.every == 0:
            layers = list(model.parameters())
            slopes = torch.autograd.grad(loss, layers, create_graph=True)
            flat = parameters_to_vector(slopes)

            def product(v: Array) -> Array:
                inner = flat @ torch.as_tensor(v, dtype=flat.dtype)
                parts = torch.autograd.grad(inner, layers, retain_graph=True, allow_unused=True)
                found = [torch.zeros_like(w) if a is None else a
                         for w, a in zip(layers, parts, strict=True)]  # fmt: skip
                return parameters_to_vector(found).double().numpy()

            value, self.steepest = largest_eigenvalue(product, len(flat), self.steepest)
            self.rate = self.run.rate * 2 / value if value > 0 else self.rate
        return self.rate


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
