"""How fast the trainer is: beside the plain loop, and beside the bare matrix products it needs.

All three on one core, on the ethanol problem, depth 1, 2, 3 in equal numbers: model-iterations per
second, the best of several rounds, for other work on the machine can only slow a round down.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from .experiments import rows
from .losses import Problem
from .plain import train_plain
from .training import Batch, Run

__all__ = ["speeds"]

MODELS = 96
ROUNDS = 5
SECONDS = 0.5  # of a round, about


def speeds(p: float) -> dict[str, float]:
    """Model-iterations per second of the batched trainer, the plain loop, and the products."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        problem = Problem(*rows("ethanol"), p)
        runs = [Run(depth=1 + i % 3, rate=1e-5, seed=i) for i in range(MODELS)]
        batch = Batch(problem, runs)
        return {
            "batched trainer": MODELS * _rate(batch.advance),
            "plain loop": 3 * _rate(lambda n: [train_plain(problem, run, n) for run in runs[:3]]),
            "bare matrix products": MODELS * _rate(_products(problem)),
        }
    finally:
        torch.set_num_threads(threads)


def _products(problem: Problem) -> Callable[[int], None]:
    """The products of one iteration of all models: one with the moments at p = 2, else two."""
    W = torch.zeros(problem.d, MODELS, dtype=torch.float64)
    X = torch.as_tensor(np.array(problem.X))
    moments = X.T @ X

    def repeat(iterations: int) -> None:
        for _ in range(iterations):
            if problem.p == 2:
                moments @ W
            else:
                X.T @ (X @ W)

    return repeat


def _rate(work: Callable[[int], object]) -> float:
    """Iterations per second of `work(iterations)`, after a first call that may have to compile."""
    work(1)
    iterations, seconds = 1, 0.0
    while seconds < SECONDS / 4:
        iterations *= 4
        seconds = _timed(work, iterations)
    return iterations / min(_timed(work, iterations) for _ in range(ROUNDS))


def _timed(work: Callable[[int], object], iterations: int) -> float:
    began = time.perf_counter()
    work(iterations)
    return time.perf_counter() - began
