"""The same runs on a GPU: stacked torch tensors, many steps to a CUDA graph, no host in between.

`training.train(..., device="cuda")` comes here. One matrix product computes the gradient with
respect to the end-to-end matrices of all models; those of one architecture and rule are pulled back
together. Whether a run has diverged is decided on the device at every step; the host learns of it
when a call of `advance` ends, and takes diverged runs out of the batch.

The code is the same on every device but for the graph, and is tested on the CPU (and on a GPU where
the tests find one). Sums are taken in another order than in the compiled trainer: results agree to
1e-9 over 1,000 iterations at stable rates, and part where round-off is amplified.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from accel_core import rules
from accel_core.engine.data import Data
from accel_core.engine.kernels import DIVERGED
from accel_core.problem import Problem

if TYPE_CHECKING:
    from accel_core.training import Run

Array = NDArray[np.float64]

UNROLLED = 32  # steps in a CUDA graph
FASTER = 100  # so much more work than a core a GPU is given in one call of `advance`


def checked(device: str) -> torch.device:
    """The torch device of that name. Raises `ValueError` naming those that this machine has."""
    there = ["cpu", "cuda"] * torch.cuda.is_available() or ["cpu"]
    there += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if str(device) not in there:
        raise ValueError(
            f"device = {device!r}: this machine has {', '.join(there)}"
            + ("" if len(there) > 1 else " (torch finds no GPU, or was installed without CUDA)")
        )
    return torch.device(device)


class DeviceBatch:
    """Runs that are trained side by side on a torch device; `training.Recorder` drives it as it
    does a `Batch`, whose attributes of the same names mean the same."""

    def __init__(self, problem: Problem, runs: Sequence[Run], device: str, dtype=np.float64):
        self.device, self.runs = checked(device), list(runs)
        if any(run.schedule.every for run in runs):
            raise ValueError("schedule = Sharpness(…): is for the CPU; leave `device` out")
        self.data = Data(problem, runs[0].bias, False, dtype)
        self._p, self._kind = problem.p, torch.as_tensor(np.zeros(1, dtype)).dtype
        if problem.p == 2:
            m = problem.moments.with_bias() if runs[0].bias else problem.moments
            self._X, self._Y = self._on(2 * m.xx), self._on(2 * m.xy.T)
        else:
            ones = np.ones((len(problem.X), int(runs[0].bias)))
            self._X, self._Y = self._on(np.hstack([problem.X, ones])), self._on(problem.y)
        self.done, self.diverged = 0, np.full(len(runs), -1)
        self._t = torch.zeros((), dtype=torch.int64, device=self.device)
        groups: dict[tuple, list[int]] = {}
        for i, run in enumerate(runs):
            groups.setdefault((run.architecture, run.rule), []).append(i)
        self._stacks = [_Stack(self, members) for members in groups.values()]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._leave()

    def _on(self, array: Array) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=self._kind, device=self.device)

    @property
    def remaining(self) -> int:
        """Number of runs that have not diverged."""
        return int(np.sum(self.diverged < 0))

    @property
    def cost(self) -> float:
        """What an iteration counts for when the length of a call of `advance` is chosen."""
        return 2.0 * self._X.numel() * self.data.k * self.remaining / FASTER

    @torch.no_grad()
    def advance(self, steps: int) -> None:
        """Makes `steps` more iterations of every run that remains."""
        left = steps
        if self.device.type == "cuda" and left >= 2 * UNROLLED:
            if self._graph is None:
                left -= UNROLLED
                self._capture()
            for _ in range(left // UNROLLED):
                self._graph.replay()
            left %= UNROLLED
        for _ in range(left):
            self._step()
        self.done += steps
        self._leave()

    def _capture(self) -> None:
        """Makes `UNROLLED` steps, which warm the allocator up, and captures as many."""
        side = torch.cuda.Stream(self.device)
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(UNROLLED):
                self._step()
        torch.cuda.current_stream(self.device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            for _ in range(UNROLLED):
                self._step()

    def _products(self) -> list[list[torch.Tensor]]:
        """For each stack the products of its first 1, 2, … layers, by which it also notes which
        of its runs have left."""
        products = [stack.products() for stack in self._stacks]
        for stack, made in zip(self._stacks, products, strict=True):
            stack.note(made[-1], self._t)
        return products

    def _step(self) -> None:
        products = self._products()
        ends = torch.cat([made[-1] for made in products])
        rows = ends.flatten(0, 1)  # (m·k, D)
        if self._p == 2:
            gradient = rows @ self._X - self._Y.repeat(len(ends), 1)
        else:
            r = self._X @ rows.T - self._Y.repeat(1, len(ends))
            slopes = r.abs().pow(self._p - 1) * r.sign() * (self._p / len(self._X))
            gradient = slopes.T @ self._X
        parts = gradient.view_as(ends).split([len(stack.members) for stack in self._stacks])
        for stack, made, part in zip(self._stacks, products, parts, strict=True):
            stack.update(made, part, self._t)
        self._t += 1

    @torch.no_grad()
    def _leave(self) -> None:
        """Reads which runs have diverged, and goes on without them."""
        self._products()
        for stack in self._stacks:
            left = stack.left.cpu().numpy()
            self.diverged[stack.members] = left
            if (left >= 0).any():
                stack.keep(np.flatnonzero(left < 0))
                self._graph = None  # its tensors are gone
        self._stacks = [stack for stack in self._stacks if len(stack.members)]

    def end_to_end(self) -> tuple[NDArray[np.int64], Array]:
        """Numbers of the runs that remain, and their end-to-end rows (m·k, data.D)."""
        if not self._stacks:
            return np.array([], np.int64), np.zeros((0, self.data.D))
        ends = torch.cat([stack.products()[-1].flatten(0, 1) for stack in self._stacks])
        W = np.zeros((len(ends), self.data.D), self.data.dtype)
        W[:, : ends.shape[1]] = ends.cpu().numpy()
        return np.concatenate([stack.members for stack in self._stacks]), W

    def parameters(self, i: int) -> Array:
        """Flat parameters of run i, which remains."""
        (stack,) = [stack for stack in self._stacks if i in stack.members]
        at = int(np.flatnonzero(stack.members == i)[0])
        layers = [layer[at].cpu().double().numpy() for layer in stack.layers]
        d = self.data.d  # a layer and its bias are one array
        sizes = [d, *[len(layer) for layer in layers[:-1]]]
        parts = [np.append(a[:, :n], a[:, n:]) for a, n in zip(layers, sizes, strict=True)]
        return np.concatenate(parts)


class _Stack:
    """Runs of one architecture and one rule. `layers`: N tensors (m, n_j, n_{j−1} + bias)."""

    def __init__(self, batch: DeviceBatch, members: Sequence[int]):
        runs = [batch.runs[i] for i in members]
        data, first = batch.data, runs[0]
        self.members, self.rule, self.bias = np.array(members), first.rule, first.bias
        flats = [r.architecture.start(r.start, r.seed, data.d, data.k) for r in runs]
        unpacked = [first.architecture.unpack(flat, data.d, data.k) for flat in flats]
        self.layers = []
        for j in range(first.depth):
            each = [np.hstack([w[j], b[j][:, None]]) if b else w[j] for w, b in unpacked]
            self.layers.append(batch._on(np.stack(each)))
        columns = [[r.rate, r.weight_decay, r.schedule.steps, r.clip] for r in runs]
        columns = batch._on(np.reshape(columns, (len(runs), 4, 1, 1)))
        self.rate, self.decay, self.warm_up, self.clip = columns.unbind(1)
        self.scheduled = any(r.schedule.steps or r.clip < np.inf for r in runs)
        self.first = [torch.full_like(layer, self.rule.first_buffer) for layer in self.layers]
        self.second = [torch.zeros_like(layer) for layer in self.layers]
        self.left = torch.full((len(runs),), -1, dtype=torch.int64, device=batch.device)
        self.inputs = batch._on(np.eye(data.d, data.d + first.bias))

    def keep(self, which: NDArray[np.int64]) -> None:
        """Goes on with these of the runs alone."""
        at = torch.as_tensor(which, device=self.left.device)
        self.members = self.members[which]
        for name in ("rate", "decay", "warm_up", "clip", "left"):
            setattr(self, name, getattr(self, name)[at])
        for name in ("layers", "first", "second"):
            setattr(self, name, [array[at] for array in getattr(self, name)])

    def _weights(self, j: int) -> torch.Tensor:
        return self.layers[j][:, :, :-1] if self.bias else self.layers[j]

    def products(self) -> list[torch.Tensor]:
        """W_j⋯W_1 with the bias so far as last column, (m, n_j, d + bias), for j = 1, …, N."""
        made = [self._weights(0) @ self.inputs]
        for j in range(1, len(self.layers)):
            made.append(self._weights(j) @ made[-1])
        if self.bias:
            made[0][:, :, -1] += self.layers[0][:, :, -1]
            for j in range(1, len(self.layers)):
                bias = (self._weights(j) @ made[j - 1][:, :, -1:])[:, :, 0]
                made[j][:, :, -1] = bias + self.layers[j][:, :, -1]
        return made

    def note(self, ends: torch.Tensor, t: torch.Tensor) -> None:
        """Writes down the iteration for those that have just left."""
        stays = torch.linalg.vector_norm(ends, dim=(1, 2)) <= DIVERGED  # false for NaN
        self.left.copy_(torch.where((self.left < 0) & ~stays, t, self.left))

    def update(self, products: list[torch.Tensor], gradient: torch.Tensor, t: torch.Tensor) -> None:
        """One step of every layer, given ∂L/∂W_e (m, k, d + bias) with the bias as last column."""
        alive = (self.left < 0)[:, None, None]
        back, slopes = gradient, []
        for j in reversed(range(len(self.layers))):
            below = products[j - 1] if j else self.inputs.expand(len(back), -1, -1)
            slope = back @ below.mT
            if self.bias:
                slope = torch.cat([slope, back[:, :, -1:]], dim=2)
            back = self._weights(j).mT @ back
            slopes.insert(0, slope)
        rate = self.rate
        if self.scheduled:
            squares = [slope.square().sum((1, 2), keepdim=True) for slope in slopes]
            norm = torch.stack(squares).sum(0).sqrt()
            shorter = torch.where(norm > self.clip, self.clip / norm, 1.0)
            slopes = [slope * shorter for slope in slopes]
            rate = torch.where(t + 1 < self.warm_up, rate * ((t + 1) / self.warm_up), rate)
        for layer, *state in zip(self.layers, slopes, self.first, self.second, strict=True):
            new = stepped(self.rule, layer, *state, rate=rate, decay=self.decay, t=t)
            layer.copy_(torch.where(alive, new, layer))


def stepped(
    rule: rules.UpdateRule, W: torch.Tensor, g: torch.Tensor, first: torch.Tensor,
    second: torch.Tensor, rate: float | torch.Tensor, decay: float | torch.Tensor, t: int,
) -> torch.Tensor:  # fmt: skip
    """Layers W (…, m, n) after step t = 0, 1, … with their gradient g; the rule's two buffers are
    changed in place. The formulas stand in `rules`."""
    if isinstance(rule, rules.EndToEnd):
        N = rule.depth
        norm = torch.linalg.vector_norm(W, dim=(-2, -1), keepdim=True)
        along = W * ((W * g).sum((-2, -1), keepdim=True) / norm.square()).nan_to_num()
        step = norm ** (2 - 2 / N) * (g + (N - 1) * along)
        return W * (1 - rate * decay * N) - rate * step
    g = g + decay * W
    match rule:
        case rules.GradientDescent():
            step = g
        case rules.Momentum(beta, nesterov):
            first.mul_(beta).add_(g)
            step = g + beta * first if nesterov else first
        case rules.Adam(beta1, beta2, epsilon, epsilon_hat):
            first.mul_(beta1).add_(g, alpha=1 - beta1)
            second.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            after = torch.as_tensor(t + 1, dtype=g.dtype)
            root, size = (1 - beta2**after).sqrt(), second.sqrt()
            size = (size + epsilon) / root if epsilon_hat else size / root + epsilon
            step = first / (1 - beta1**after) / size
        case rules.AdaGrad(_, epsilon):
            first.addcmul_(g, g)
            step = g / (first.sqrt() + epsilon)
        case rules.AdaDelta(rho, epsilon):
            first.mul_(rho).addcmul_(g, g, value=1 - rho)
            step = g * (second + epsilon).sqrt() / (first + epsilon).sqrt()
            second.mul_(rho).addcmul_(step, step, value=1 - rho)
    return W - rate * step
