"""What the trainer is compared with: other ways to take full-batch steps of many linear networks.

Each engine is a function of a `Case` and a number of iterations that returns a callable; the
callable trains all models of the case from their starts by that many steps of gradient descent in
float64 and returns the end-to-end rows (m, d), so that a wrong engine is noticed, not merely timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from accel_core.engine.autograd import LinearNetwork
from accel_core.engine.batch import Batch, aligned
from accel_core.models import end_to_end
from accel_core.problem import Problem
from accel_core.training import Run

try:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
except ImportError:  # a dependency of the benchmark alone: requirements-bench.txt
    jax = None

Array = np.ndarray
Step = Callable[[], Array]


@dataclass(frozen=True)
class Case:
    """Models on a problem: `shapes` are (depth, width), each trained `copies` times, one output."""

    problem: Problem
    shapes: tuple[tuple[int, int], ...]
    copies: int

    @property
    def models(self) -> int:
        return len(self.shapes) * self.copies

    @property
    def runs(self) -> list[Run]:
        """Stable rates, so that every engine does the whole work and no model leaves."""
        rates = np.geomspace(1e-6, 1e-4, self.copies)
        return [
            Run(depth, width, rate=float(rate), seed=seed)
            for depth, width in self.shapes
            for seed, rate in enumerate(rates)
        ]

    def groups(self) -> list[tuple[list[Array], Array]]:
        """For each shape the weights, a list of (copies, n_j, n_{j−1}), and the rates (copies,)."""
        runs, d, out = self.runs, self.problem.d, []
        for g in range(len(self.shapes)):
            members = runs[g * self.copies : (g + 1) * self.copies]
            layers = [
                r.architecture.unpack(r.architecture.start(r.start, r.seed, d), d)[0]
                for r in members
            ]
            weights = [np.stack(w) for w in zip(*layers, strict=True)]
            out.append((weights, np.array([r.rate for r in members])))
        return out


def ours(case: Case, iterations: int) -> Step:
    """The batched trainer, on one core."""

    batch = Batch(case.problem, case.runs)
    start = {name: np.copy(value) for name, value in batch.state().items()}

    def step():
        batch.restore(start)
        batch.advance(iterations)
        order, W = batch.end_to_end()
        rows = np.empty((len(order), case.problem.d))
        rows[order] = batch.data.original(W)
        return rows

    return step


def plain(case: Case, iterations: int) -> Step:
    """The plain loop: one model after the other, `torch.nn`, autograd and `torch.optim`, without
    the checks that `accel_core.engine.autograd` adds."""
    X, y = torch.as_tensor(case.problem.X), torch.as_tensor(case.problem.y)
    d, p = case.problem.d, case.problem.p

    def one(run):
        model = LinearNetwork(run.architecture, d)
        model.load_flat(run.architecture.start(run.start, run.seed, d))
        optimizer = torch.optim.SGD(model.parameters(), lr=run.rate)
        for _ in range(iterations):
            optimizer.zero_grad()
            (model(X) - y).abs().pow(p).mean().backward()
            optimizer.step()
        return end_to_end(run.architecture.unpack(model.flat(), d)[0])

    return lambda: np.concatenate([one(run) for run in case.runs])


def vmap(case: Case, iterations: int) -> Step:
    """An ensemble by `torch.func`: `vmap` of the gradient of one model's loss, on the rows."""
    X, y = torch.as_tensor(case.problem.X), torch.as_tensor(case.problem.y[:, 0])
    p = case.problem.p

    def loss(weights):
        out = X
        for W in weights:
            out = out @ W.T
        return (out[:, 0] - y).abs().pow(p).mean()

    gradient = torch.func.vmap(torch.func.grad(loss))
    groups = [
        ([torch.as_tensor(W) for W in weights], torch.as_tensor(rates)[:, None, None])
        for weights, rates in case.groups()
    ]

    def step():
        ends = []
        for weights, rate in groups:
            for _ in range(iterations):
                slopes = gradient(weights)
                weights = [W - rate * g for W, g in zip(weights, slopes, strict=True)]
            ends.append(_products(weights).numpy())
        return np.concatenate(ends)

    return step


def _products(weights):
    W = weights[0]
    for V in weights[1:]:
        W = V @ W
    return W[:, 0]


def _jax(losses, case: Case, iterations: int) -> Step:
    groups = case.groups()
    rates = [jnp.asarray(r)[:, None, None] for _, r in groups]
    start = [[jnp.asarray(W) for W in weights] for weights, _ in groups]

    def total(groups):
        return losses(jnp.concatenate([_products(weights) for weights in groups])).sum()

    def one(groups, _):
        slopes = jax.grad(total)(groups)
        moved = [
            [W - r * g for W, g in zip(weights, slope, strict=True)]
            for weights, slope, r in zip(groups, slopes, rates, strict=True)
        ]
        return moved, None

    def many(groups):
        groups, _ = jax.lax.scan(one, groups, None, length=iterations)
        return jnp.concatenate([_products(weights) for weights in groups])

    compiled = jax.jit(many).lower(start).compile()
    return lambda: np.asarray(compiled(start))


def jax_rows(case: Case, iterations: int) -> Step:
    """JAX: `jit` of a `lax.scan` with autodiff, on the rows, all models in one product."""
    X, y, p = jnp.asarray(case.problem.X), jnp.asarray(case.problem.y), case.problem.p

    def losses(W):
        r = X @ W.T - y
        return (r * r if p == 2 else (r * r) ** (p // 2)).mean(0)

    return _jax(losses, case, iterations)


def jax_moments(case: Case, iterations: int) -> Step:
    """The same on second moments, for ℓ2: but for a constant, wᵀ(XᵀX/n)w − 2wᵀ(Xᵀy/n)."""
    m = case.problem.moments
    xx, xy = jnp.asarray(m.xx), jnp.asarray(m.xy[:, 0])
    return _jax(lambda W: ((W @ xx) * W).sum(1) - 2 * W @ xy, case, iterations)


def limits(case: Case) -> dict[str, Callable[[int], None]]:
    """The two matrix products of a step on the rows, and nothing else, by several libraries in
    several layouts, on aligned data: the fastest of them is the limit."""
    n, d, m = len(case.problem.X), case.problem.d, case.models

    def array(*shape):
        return aligned(shape, float)

    def filled(values):
        out = array(*values.shape)
        out[:] = values
        return out

    rng = np.random.default_rng(0)
    W, X = rng.standard_normal((m, d)), case.problem.X
    layouts = {"X": filled(X), "Xᵀ": filled(X.T).T}
    found = {}
    for name, x in layouts.items():
        pairs = {
            f"{name} Wᵀ": (x, filled(W.T), array(n, m), x.T, array(d, m)),
            f"W {name}ᵀ": (filled(W), x.T, array(m, n), x, array(m, d)),
        }
        for label, (a, b, r, c, g) in pairs.items():
            first = label.endswith("Wᵀ")
            for library, product in (("NumPy", np.matmul), ("torch", torch.mm)):
                take = torch.from_numpy if library == "torch" else np.asarray
                arrays = [take(v) for v in (a, b, r, c, g)]
                found[f"{library} {label}"] = partial(_twice, product, first, *arrays)
    if jax:
        x, w = jnp.asarray(X), jnp.asarray(W)

        @jax.jit
        def both(w, x):
            return (w @ x.T) @ x

        def loop(iterations):
            for _ in range(iterations):
                both(w, x).block_until_ready()

        loop(1)
        found["JAX"] = loop
    return found


def _twice(product, first, a, b, r, c, g, iterations):
    for _ in range(iterations):
        product(a, b, out=r)
        product(c, r, out=g) if first else product(r, c, out=g)


ENGINES = {"ours": ours, "plain loop": plain, "torch.func.vmap": vmap} | (
    {"JAX, rows": jax_rows, "JAX, second moments": jax_moments} if jax else {}
)
