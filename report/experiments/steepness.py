"""What caps the rate along the way: recorded runs of tuned rates, looked at as they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from accel_core.sharpness import single_layer_hessian, single_layer_sharpness
from accel_core.training import Run, train
from report import compute
from report.experiments.base import NUDGE
from report.experiments.problems import ProblemSpec
from report.experiments.sweeps import Spec
from report.experiments.tasks import Outcome, Task, Tasks
from report.record import Row

__all__ = ["DEPTHS", "EXPERIMENTS", "Steepness", "steepness"]

DEPTHS = (1, 2, 3)


@dataclass(frozen=True)
class Steepness(Task):
    """A recorded run of tuned rates, looked at along its way, at `POINTS` iterations.

    Series `iteration`, `sharpness` (of the single layer's loss at W_e), and the effective rates
    `across` and `along` W_e; array `error` (points × directions): |⟨W_e − W*, v⟩| for the
    eigenvectors v of XᵀX/n, steepest first; `spread`: their eigenvalues.

    The rates are those of the layers as they are, η Π a_j² across and ‖w‖² Σ_j Π_{i≠j} a_i² more
    along, for W_e = a_N⋯a_2 w: η‖W_e‖^{2−2/N} and N times that where the layers are balanced. At ℓ4
    that is assumed after 1,000 iterations, of which the record has no layers but at four: there the
    two are within 1 % (depth 2) or both below 1e-11 (depth 3, before it leaves zero).
    """

    task, names = "Steepness", ("p", "depth", "rate", "seed", "iterations")

    p: float
    depth: int
    rate: float
    seed: int = 0
    iterations: int = 1_000_000

    def run(self) -> Outcome:
        run = Run(self.depth, rate=self.rate, seed=self.seed)
        problem = ProblemSpec("ethanol", self.p).build()
        at = np.unique(np.append(0, np.geomspace(1, self.iterations, POINTS)).astype(int))
        exact = at if self.p == 2 else at[at <= 1_000]
        (result,) = train(problem, [run], int(exact[-1]), record_at=exact, states_at=exact)
        ends, states = result.end_to_end[:, 0], [result.states[t] for t in exact]
        across, along = np.transpose([_effective(self.rate, s, problem.d) for s in states])
        if self.p != 2:
            late, trace = self._recorded(run)
            later = np.searchsorted(late, at[at > 1_000])
            at, ends = np.append(exact, late[later]), np.vstack([ends, trace[later]])
            rates = self.rate * np.linalg.norm(trace[later], axis=1) ** (2 - 2 / self.depth)
            across, along = np.append(across, rates), np.append(along, self.depth * rates)
        spread, basis = np.linalg.eigh(problem.moments.xx)
        error = np.abs((ends - problem.optimum().end_to_end[0]) @ basis[:, ::-1])
        sharpness = [single_layer_sharpness(problem, end) for end in ends]
        series = {"iteration": at.astype(float), "sharpness": np.array(sharpness),
                  "across": across, "along": along}  # fmt: skip
        return Outcome({}, series, {"error": error.ravel(), "spread": spread[::-1]})

    def twin(self) -> Steepness | None:
        return replace(self, rate=self.rate * (1 + NUDGE)) if self.p == 2 else None

    def _recorded(self, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Iterations from 1,000 on and W_e there, from the record of tuned rates."""
        spec = Spec(ProblemSpec("ethanol", self.p), run, self.iterations)
        (row,) = compute.lookup([spec]).values()
        late = row.series["iteration"]
        late = late[late >= 1_000].astype(int)
        return late, row.arrays["trace"].reshape(len(late), -1)


def _effective(rate: float, flat: np.ndarray, d: int) -> tuple[float, float]:
    """Effective rates across and along W_e of a chain: η times the eigenvalues of the matrix by
    which its layers' steps change the gradient (paper, Theorem 1; no balance is assumed)."""
    w, a = flat[:d], flat[d:]
    across = np.prod(a) ** 2
    others = sum(np.prod(np.delete(a, j)) ** 2 for j in range(len(a)))
    return rate * across, rate * (across + w @ w * others)


POINTS = 60

# The tuned rates of the paper's grid (a test holds them to the record).
TUNED = {2.0: (1e-2, 1e-3, 5e-3), 4.0: (5e-4, 1e-4, 5e-5)}


def steepness() -> list[Steepness]:
    """The tuned runs of both losses, start 0."""
    return [Steepness(p, depth, TUNED[p][depth - 1]) for p in TUNED for depth in DEPTHS]


@dataclass(frozen=True)
class Asymptote(Task):
    """How much better conditioned depth makes the loss at its optimum, for one output and balanced
    layers: κ(H) over κ(P^½ H P^½), P = I + (N−1) W*W*ᵀ/‖W*‖². The flattest direction is served so
    many times as well at the largest stable step; between 1/N and N."""

    task, names = "Asymptote", ("p", "depth")

    p: float
    depth: int

    def run(self) -> Outcome:
        problem = ProblemSpec("ethanol", self.p).build()
        best = problem.optimum().end_to_end[0]
        unit = best / np.linalg.norm(best)
        root = np.eye(len(unit)) + (np.sqrt(self.depth) - 1) * np.outer(unit, unit)
        hessian = single_layer_hessian(problem, best)
        plain, deep = (np.linalg.eigvalsh(h) for h in (hessian, root @ hessian @ root))
        return Outcome({"factor": float(plain[-1] / plain[0] * deep[0] / deep[-1])}, {}, {})


def asymptotes() -> list[Asymptote]:
    """Both losses, two and three layers."""
    return [Asymptote(p, depth) for p in TUNED for depth in DEPTHS[1:]]


def asymptote_table(rows: Sequence[Row]) -> pd.DataFrame:
    """A row a loss and depth: p, depth, factor."""
    return pd.DataFrame([{name: r.spec[name] for name in ("p", "depth")} | r.summary for r in rows])


EXPERIMENTS = (
    Tasks("steepness", steepness),
    Tasks("asymptote", asymptotes, (("asymptote", asymptote_table),)),
)
