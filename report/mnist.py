"""The protocol of TensorFlow's MNIST tutorial: images, schedule, training.

Pixels in [−0.5, 0.5], the first 5,000 training images held out; minibatches of 64, consecutive
slices of what is left; momentum 0.9, a base rate of 0.01 times 0.95 an epoch; 8,600 minibatches,
which are 10 epochs. What the tutorial prints is a minibatch's loss with dropout on, the penalty
included. Here both parts are recorded, at every step, before the step is taken.
"""

import math
import time
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from accel_core.convolutional import DENSE, ConvolutionalNetwork
from report.experiments.convolutional import Convolutional

VALIDATION = 5_000  # training images that the tutorial holds out, the first ones
EVALUATED = ("train_accuracy", "train_cross_entropy", "test_accuracy", "test_cross_entropy")
CHUNK = 100  # steps between two looks at whether the loss is still finite


class Digits(NamedTuple):
    """Images (n, 1, 28, 28), float32 in [−0.5, 0.5], and labels (n,), int64."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @classmethod
    def tutorial(cls, train, train_labels, test, test_labels, *, held_out=VALIDATION):
        """The tutorial's split: the first ``held_out`` of the uint8 images (n, 28, 28) go."""
        images = (np.asarray(part, np.float32)[:, None] for part in (train[held_out:], test))
        labels = (np.asarray(part, np.int64) for part in (train_labels[held_out:], test_labels))
        (one, other), (its, others) = map(torch.from_numpy, images), map(torch.from_numpy, labels)
        return cls(one / 255 - 0.5, its, other / 255 - 0.5, others)


def epoch(spec: Convolutional, step: int, images: int) -> int:
    """The whole number of passes over ``images`` that so many steps make."""
    return step * spec.batch // images


def learning_rate(spec: Convolutional, step: int, images: int) -> float:
    """base · decay^epoch."""
    return spec.rate * spec.decay ** epoch(spec, step, images)


def minibatch(step: int, batch: int, images: int) -> slice:
    """Consecutive slices of the training set in its own order, wrapping around."""
    first = step * batch % (images - batch)
    return slice(first, first + batch)


class Training:
    """A run between two steps: ``advance`` moves it on, ``state_dict`` is all that it is.

    Every random number comes from generators on the CPU, so that a run on another device sees
    the same start and the same dropout.
    """

    def __init__(self, spec: Convolutional, digits: Digits, *, device: str = "cpu") -> None:
        self.spec, self.device = spec, device
        self.digits = Digits(*(tensor.to(device) for tensor in digits))
        start = torch.Generator().manual_seed(2 * spec.seed)
        self.dropout = torch.Generator().manual_seed(2 * spec.seed + 1)
        self.network = ConvolutionalNetwork(
            factored=spec.factored, generator=start, std=spec.std, dense_std=spec.dense_std
        ).to(device)
        # v ← momentum·v + g, w ← w − rate·v: PyTorch's momentum is TensorFlow's.
        self.optimizer = torch.optim.SGD(self.network.parameters(), spec.rate, spec.momentum)
        self.step, self.seconds = 0, 0.0
        self.losses = torch.full((spec.steps, 2), math.nan, device=device)
        self.epochs: list[list[float]] = []

    @property
    def diverged_at(self) -> int | None:
        """The first iteration whose loss is not finite, if there is one."""
        bad = ~torch.isfinite(self.losses[: self.step].sum(1))
        return int(bad.nonzero()[0]) if bad.any() else None

    def advance(self, until: int) -> None:
        """Train up to step ``until``, or to the chunk in which the loss stops being finite."""
        begun, images = time.perf_counter(), len(self.digits.train)
        # A GPU's convolutions would else round their inputs to 10 bits (TF32). These settings are
        # the process's: on a CPU, where runs may share it, they are left alone.
        exact = partial(torch.backends.cudnn.flags, deterministic=True, allow_tf32=False)
        with nullcontext() if self.device == "cpu" else exact():
            while self.step < min(until, self.spec.steps):
                self._one_step()
                done, before = (epoch(self.spec, k, images) for k in (self.step, self.step - 1))
                if done > before and done % self.spec.evaluate_every == 0:
                    self.epochs.append([done, *self.evaluate()])
                if self.step % CHUNK == 0 and self.diverged_at is not None:
                    break
        self.seconds += time.perf_counter() - begun

    def _one_step(self) -> None:
        spec, images = self.spec, len(self.digits.train)
        rows = minibatch(self.step, spec.batch, images)
        keep = None
        if spec.dropout:
            uniform = torch.rand((spec.batch, DENSE[0][0]), generator=self.dropout)
            keep = ((uniform >= spec.dropout) / (1 - spec.dropout)).to(self.device)
        logits = self.network(self.digits.train[rows], keep)
        entropy = functional.cross_entropy(logits, self.digits.train_labels[rows])
        penalty = torch.zeros_like(entropy)
        if spec.penalty != "none":
            penalty = spec.coefficient * self.network.penalty(spec.penalty)
        self.losses[self.step] = torch.stack([entropy, penalty]).detach()
        self.optimizer.zero_grad()
        (entropy + penalty).backward()
        self.optimizer.param_groups[0]["lr"] = learning_rate(spec, self.step, images)
        self.optimizer.step()
        self.step += 1

    @torch.no_grad()
    def evaluate(self, rows: int = 50) -> tuple[float, float, float, float]:
        """The values of ``EVALUATED``, of all images, dropout off."""
        digits, values = self.digits, []
        for images, labels in (digits[:2], digits[2:]):
            right = total = 0.0
            for part, truth in zip(images.split(rows), labels.split(rows), strict=True):
                logits = self.network(part)
                right += float((logits.argmax(1) == truth).sum())
                total += float(functional.cross_entropy(logits, truth, reduction="sum"))
            values += [right / len(labels), total / len(labels)]
        return tuple(values)

    @property
    def series(self) -> dict[str, np.ndarray]:
        """What was recorded, up to the divergence if there is one.

        ``cross_entropy`` and ``weight_penalty``: (iterations,), whose sum is the printed loss.
        ``epoch`` and what `evaluate` found after it: (evaluations,).
        """
        end = self.step if self.diverged_at is None else self.diverged_at
        entropy, penalty = self.losses[:end].cpu().double().numpy().T
        columns = np.array(self.epochs).reshape(-1, 1 + len(EVALUATED)).T
        evaluated = dict(zip(("epoch", *EVALUATED), columns, strict=True))
        return {"cross_entropy": entropy, "weight_penalty": penalty, **evaluated}

    @property
    def status(self) -> str:
        """``diverged``, ``completed`` or ``running``."""
        ended = "completed" if self.step == self.spec.steps else "running"
        return ended if self.diverged_at is None else "diverged"

    def state_dict(self) -> dict:
        """All that the rest of the run depends on."""
        kept = {name: getattr(self, name) for name in ("step", "seconds", "losses", "epochs")}
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimizer")}
        return {"dropout": self.dropout.get_state(), **parts, **kept}

    def load_state_dict(self, state: dict) -> None:
        """Continue from ``state``, a run's of the same specification."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.dropout.set_state(state["dropout"].cpu())
        self.step, self.seconds, self.epochs = state["step"], state["seconds"], state["epochs"]
        self.losses = state["losses"].to(self.device)


def train(spec: Convolutional, digits: Digits, *, device: str = "cpu") -> Training:
    """Run ``spec`` to its end, or to the chunk of steps in which it diverges."""
    run = Training(spec, digits, device=device)
    run.advance(spec.steps)
    return run
