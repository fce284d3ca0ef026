"""Depth beside the explicit accelerations: AdaGrad, AdaDelta, Adam, momentum."""

from __future__ import annotations

from accel_core.rules import AdaDelta, AdaGrad, Adam, GradientDescent, Momentum, UpdateRule
from report.experiments.sweeps import Sweep, Together

__all__ = ["ADADELTA", "ADAGRAD", "ADAM", "EXPERIMENTS"]

# Constants of TensorFlow 1, in which the paper's experiments were run; `…_torch` has PyTorch's.
ADAGRAD, ADADELTA = AdaGrad(accumulator=0.1, epsilon=0.0), AdaDelta(rho=0.95, epsilon=1e-8)
ADAM = Adam(epsilon_hat=True)


def _explicit(name: str, *rules: UpdateRule) -> Together:
    """A single layer under these rules, and depth 3 under gradient descent (as in tuned_rates)."""
    deep = Sweep(name, 1_000_000, p=(4.0,), depth=(3,))
    return Together(name, (deep, Sweep(name, 1_000_000, p=(4.0,), depth=(1,), rule=rules)))


EXPERIMENTS = (
    _explicit("explicit", ADAGRAD, ADADELTA),
    _explicit("explicit_torch", AdaGrad(), AdaDelta()),
    Sweep("adam", 200_000, p=(4.0,), rule=(ADAM,)),
    Sweep("adam_torch", 200_000, p=(4.0,), rule=(Adam(),)),
    Sweep("momentum", 200_000, rule=(GradientDescent(), Momentum(), Momentum(nesterov=True))),
)
