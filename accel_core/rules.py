"""Update rules: what turns a gradient into a step. Each is a frozen value object.

The rate η and the weight decay λ belong to the run, not to the rule. λ is coupled: the gradient
that a rule sees is ∂L/∂W_j + λ W_j, for biases too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class UpdateRule:
    """Base of the update rules.

    `rotation_equivariant`: training commutes with a rotation of the inputs, which lets ℓ2 problems
    be trained in the eigenbasis of XᵀX/n. `buffers`: state arrays of the parameters' shape that it
    keeps.
    """

    rotation_equivariant: ClassVar[bool] = False
    buffers: ClassVar[int] = 0

    @property
    def first_buffer(self) -> float:
        """What the first buffer holds before the first step; the second begins at zero."""
        return 0.0

    @property
    def constants(self) -> tuple[float, ...]:
        """The rule's constants in the order of its fields, at most four: as the kernels read them.

        >>> Momentum(0.8, nesterov=True).constants
        (0.8, 1.0)
        """
        return tuple(float(value) for value in vars(self).values())


def _within(rule, name, low, high):
    value = getattr(rule, name)
    if not low <= value < high:
        raise ValueError(
            f"{type(rule).__name__}({name}={value!r}): {name} must lie in [{low:g}, {high:g})"
        )


@dataclass(frozen=True)
class GradientDescent(UpdateRule):
    """W ← W − η g.

    Implements eq-layer-descent.

    >>> GradientDescent().rotation_equivariant
    True
    """

    rotation_equivariant: ClassVar[bool] = True


@dataclass(frozen=True)
class Momentum(UpdateRule):
    """v ← βv + g; W ← W − ηv (heavy ball), or W ← W − η(g + βv) (Nesterov, as in PyTorch)."""

    beta: float = 0.9
    nesterov: bool = False
    rotation_equivariant: ClassVar[bool] = True
    buffers: ClassVar[int] = 1

    def __post_init__(self):
        _within(self, "beta", 0, 1)


@dataclass(frozen=True)
class EndToEnd(UpdateRule):
    """Claim 2 of the paper (its equation 12): the single layer moves as depth N would move it,

    W ← (1 − ηλN) W − η ‖W‖^{2−2/N} (g + (N−1) Pr_W{g}), g = dL/dW without decay.

    For one output, one layer, no bias.

    Implements thm-one-output, eq-one-output.

    >>> EndToEnd(depth=0)
    Traceback (most recent call last):
    ValueError: EndToEnd(depth=0): the emulated depth must be 1 or more
    """

    depth: int = 2
    rotation_equivariant: ClassVar[bool] = True

    def __post_init__(self):
        if not self.depth >= 1:
            raise ValueError(
                f"EndToEnd(depth={self.depth!r}): the emulated depth must be 1 or more"
            )


@dataclass(frozen=True)
class Adam(UpdateRule):
    """Adam. `epsilon_hat=False`: PyTorch's form, ε added to √(v/(1−β₂ᵗ)); True: TensorFlow 1's, ε
    added to √v outside the bias correction."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_hat: bool = False
    buffers: ClassVar[int] = 2

    def __post_init__(self):
        _within(self, "beta1", 0, 1)
        _within(self, "beta2", 0, 1)


@dataclass(frozen=True)
class AdaGrad(UpdateRule):
    """s ← s + g²; W ← W − ηg/(√s + ε), s starting at `accumulator`.

    The defaults are PyTorch's; TensorFlow 1's are `AdaGrad(accumulator=0.1, epsilon=0.0)`.
    """

    accumulator: float = 0.0
    epsilon: float = 1e-10
    buffers: ClassVar[int] = 1

    @property
    def first_buffer(self):
        return self.accumulator


@dataclass(frozen=True)
class AdaDelta(UpdateRule):
    """v ← ρv + (1−ρ)g²; δ = g √(u+ε)/√(v+ε); u ← ρu + (1−ρ)δ²; W ← W − ηδ.

    The defaults are PyTorch's; TensorFlow 1's are `AdaDelta(rho=0.95, epsilon=1e-8)`.
    """

    rho: float = 0.9
    epsilon: float = 1e-6
    buffers: ClassVar[int] = 2

    def __post_init__(self):
        _within(self, "rho", 0, 1)
