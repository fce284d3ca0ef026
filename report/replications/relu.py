"""Training one ReLU network at several rates at once: Levy & Wang's side experiment.

Full-batch gradient descent on the mean squared error, in torch; the networks of one start differ in
nothing but the rate, so they are one batched matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from accel_core.models import Architecture

__all__ = ["train_relu"]


def train_relu(
    X: NDArray,
    y: NDArray,
    held_out: tuple[NDArray, NDArray],
    shape: Architecture,
    start: NDArray,
    rates: Sequence[float],
    iterations: int,
) -> tuple[NDArray, NDArray]:
    """Training and held-out losses (rates, iterations + 1), float32, from flat parameters `start`.

    X (n, d), y (n, 1). ReLU stands after every layer but the last; all layers have biases. Losses
    that are not finite are inf.
    """
    X, y, X_held, y_held = (torch.as_tensor(a, dtype=torch.float32) for a in (X, y, *held_out))
    copies, step = len(rates), torch.tensor(rates, dtype=torch.float32)[:, None, None]
    parameters = [
        torch.tensor(values, dtype=torch.float32).repeat(copies, 1, 1).requires_grad_()
        for W, b in zip(*shape.unpack(np.asarray(start), X.shape[1], y.shape[1]), strict=True)
        for values in (W.T, b)
    ]

    def losses(x, label):
        for W, b in zip(parameters[::2], parameters[1::2], strict=True):
            # all copies see the same inputs of the first layer
            x = (torch.relu(x) if x.ndim == 3 else x) @ W + b
        return (x - label).square().mean((1, 2))

    training, held = np.empty((2, copies, iterations + 1))
    for t in range(iterations + 1):
        loss = losses(X, y)
        training[:, t] = loss.detach().numpy()
        with torch.no_grad():
            held[:, t] = losses(X_held, y_held).numpy()
        if t < iterations:
            # the copies do not touch each other: the gradient of the sum is every copy's own
            gradients = torch.autograd.grad(loss.sum(), parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= step * gradient
    return tuple(np.where(np.isfinite(values), values, np.inf) for values in (training, held))
