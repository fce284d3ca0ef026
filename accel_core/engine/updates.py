"""The update rules' formulas, compiled, and the codes by which the kernels know them."""

import numpy as np

from accel_core import rules
from accel_core.engine.compiled import compiled

GRADIENT_DESCENT, MOMENTUM, END_TO_END, ADAM, ADAGRAD, ADADELTA = range(6)

CODES = {
    rules.GradientDescent: GRADIENT_DESCENT,
    rules.Momentum: MOMENTUM,
    rules.EndToEnd: END_TO_END,
    rules.Adam: ADAM,
    rules.AdaGrad: ADAGRAD,
    rules.AdaDelta: ADADELTA,
}


@compiled
def apply(rule, constants, rate, decay, step, theta, g, first, second):
    """One step of an update rule on a slice of the parameters; see `rules` for the formulas."""
    one = theta.dtype.type(1)
    if rule == GRADIENT_DESCENT:
        for i in range(theta.size):
            theta[i] -= rate * (g[i] + decay * theta[i])
    elif rule == MOMENTUM:
        beta, nesterov = constants[0], constants[1]
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] = beta * first[i] + h
            theta[i] -= rate * (h * nesterov + first[i] * (one - nesterov + beta * nesterov))
    elif rule == ADAM:
        beta1, beta2, epsilon, hat = constants[0], constants[1], constants[2], constants[3]
        # in float64, as the frameworks do: 1 − βᵗ loses digits in float32
        c1 = one - np.float64(beta1) ** step
        c2 = np.sqrt(one - np.float64(beta2) ** step)
        eps = theta.dtype.type(epsilon / c2 if hat != 0 else epsilon)
        alpha, root = theta.dtype.type(rate / c1), theta.dtype.type(1 / c2)
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] = beta1 * first[i] + (one - beta1) * h
            second[i] = beta2 * second[i] + (one - beta2) * h * h
            theta[i] -= alpha * first[i] / (np.sqrt(second[i]) * root + eps)
    elif rule == ADAGRAD:
        epsilon = constants[1]
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] += h * h
            theta[i] -= rate * h / (np.sqrt(first[i]) + epsilon)
    elif rule == ADADELTA:
        rho, epsilon = constants[0], constants[1]
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] = rho * first[i] + (one - rho) * h * h
            delta = h * np.sqrt(second[i] + epsilon) / np.sqrt(first[i] + epsilon)
            second[i] = rho * second[i] + (one - rho) * delta * delta
            theta[i] -= rate * delta


@compiled
def end_to_end_step(depth, rate, decay, theta, g):
    """Claim 2's step for one row: see `rules.EndToEnd`."""
    square = theta.dtype.type(0)
    inner = theta.dtype.type(0)
    for i in range(theta.size):
        square += theta[i] * theta[i]
        inner += theta[i] * g[i]
    adaptive = rate * square ** (1 - 1 / depth)
    along = (depth - 1) * inner / square if square > 0 else theta.dtype.type(0)
    shrink = 1 - rate * decay * depth - adaptive * along
    for i in range(theta.size):
        theta[i] = shrink * theta[i] - adaptive * g[i]
