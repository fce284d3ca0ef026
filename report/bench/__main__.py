"""`make bench`: measures the trainer beside its rivals and the bare matrix products.

Every repetition runs all engines of a case in turn, so that what else the machine does falls on all
of them alike; pytest-benchmark and asv time one function after the other, which is why neither is
used. Times are processor seconds of this process, which is kept to one thread: waiting for a core
does not count, but neighbours still cost cache and clock. Ratios within a case are what to trust.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accel_core.problem import Problem
from accel_core.training import Run, train
from report import paths
from report.bench.engines import ENGINES, Case, limits
from report.experiments import GRID
from report.experiments.problems import rows

RESULT = paths.DATA / "bench.csv"
REPEATS = 7
WORK = 1.5e9  # floating-point operations of one timing, or as many as one iteration takes
FIGURE = ((1, 1), (2, 1), (3, 1))  # Figure 4's models: depth 1, 2, 3 at width 1
SHAPES = ((1, 1), (2, 1), (3, 1), (2, 100), (3, 100))


def iterations_of(engine: str, case: Case) -> int:
    """As many iterations as make WORK of arithmetic on this engine's path, at least two."""
    d, p = case.problem.d, case.problem.p
    moments = p == 2 and engine in ("ours", "JAX, second moments")
    per_model = 4 * d * (d if moments else len(case.problem.X))
    if engine == "ours" and moments:
        per_model = 8 * d  # elementwise in the eigenbasis
    per_model += np.mean([6 * Run(*s).architecture.count(d) for s in case.shapes])
    if engine == "plain loop":
        return 100  # of one copy of each shape: see `measure`
    return int(np.clip(WORK / (per_model * case.models), 2, 50_000))


def verify(case: Case, engines: dict) -> None:
    """All engines must end at the same matrices."""
    wanted = ENGINES["ours"](case, 20)()
    for name, make in engines.items():
        got = make(case, 20)()
        assert np.allclose(got, wanted, rtol=1e-9, atol=1e-12), f"{name} computes something else"


def timed(step) -> float:
    """Processor seconds of this process that a call takes."""
    began = time.process_time()
    step()
    return time.process_time() - began


def measure(label: str, case: Case, engines: dict, with_limit: bool) -> list[dict]:
    """Microseconds per model and iteration of each engine, over REPEATS interleaved repetitions."""
    jobs = {}
    for name, make in engines.items():
        # the plain loop costs the same for each model, so one copy of each shape stands for all
        some = Case(case.problem, case.shapes, 1) if name == "plain loop" else case
        count = iterations_of(name, case)
        jobs[name] = make(some, count), count * some.models
    if with_limit:
        count = max(2, int(WORK / (4 * case.problem.X.size * case.models)))
        for name, loop in limits(case).items():
            jobs[f"limit: {name}"] = (lambda loop=loop: loop(count)), count * case.models
    times = {name: [] for name in jobs}
    for repeat in range(REPEATS + 1):
        for name, (step, units) in jobs.items():
            seconds = timed(step)
            if repeat:  # the first one warms up
                times[name].append(1e6 * seconds / units)
    return [
        {
            "case": label, "p": case.problem.p, "models": case.models,
            "depth": "+".join(str(s[0]) for s in case.shapes), "width": case.shapes[0][1],
            "rows": len(case.problem.X), "features": case.problem.d, "engine": name,
            "microseconds": np.median(t), "least": min(t), "most": max(t), "repeats": len(t),
            "load": round(os.getloadavg()[0], 1),
        }
        for name, t in times.items()
    ]  # fmt: skip


def a_million(X, y) -> dict:
    """Processor seconds of Figure 4's 30 models, ℓ2, a million iterations, with recording."""
    runs = [Run(depth, rate=rate) for depth, _ in FIGURE for rate in GRID]
    problem = Problem(X, y, 2.0)
    train(problem, runs, 10)
    t = [timed(lambda: train(problem, runs, 1_000_000)) for _ in range(REPEATS)]
    return {
        "case": "a million iterations", "p": 2.0, "models": len(runs), "depth": "1+2+3", "width": 1,
        "rows": len(X), "features": X.shape[1], "engine": "ours", "seconds": np.median(t),
        "least": min(t), "most": max(t), "repeats": len(t), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _engines(p: float) -> dict:
    return {n: make for n, make in ENGINES.items() if p == 2 or n != "JAX, second moments"}


def main() -> None:
    """Measures everything and writes RESULT."""
    X, y = rows("ethanol")
    table = [a_million(X, y)]

    def add(label, problem, shapes, copies, engines=None, limit=True):
        case = Case(problem, shapes, copies)
        available = _engines(problem.p)
        chosen = {n: make for n, make in available.items() if engines is None or n in engines}
        verify(Case(problem, shapes, 2), chosen)
        table.extend(measure(label, case, chosen, limit))
        worst = table[-1]
        print(f"{label}, p = {problem.p:g}, {case.models} models of {shapes}: load {worst['load']}")

    for p in (2.0, 4.0):
        problem = Problem(X, y, p)
        for models in (30, 300):
            add("Figure 4", problem, FIGURE, models // 3)
        for models in (10, 100, 1_000):
            for shape in SHAPES:
                large = models * shape[1] >= 10_000  # `vmap` of these takes gigabytes
                engines = {"ours", "plain loop", "JAX, rows", "JAX, second moments"}
                add("table", problem, (shape,), models, engines if large else None, False)
        for part in (4, 2, 1):
            fewer = Problem(X[::part], y[::part], p)
            add("growth with rows", fewer, FIGURE, 10, {"ours"}, False)
            fewer = Problem(X[:, ::part], y, p)
            add("growth with features", fewer, FIGURE, 10, {"ours"}, False)
        for depth in (1, 2, 4, 8, 16):
            for width in (1, 10):
                add("growth with depth", problem, ((depth, width),), 30, {"ours"}, False)
    frame = pd.DataFrame(table)
    frame["machine"] = (
        f"one thread of {os.cpu_count()} shared cores, {_processor()}, {platform.system()}"
    )
    frame["versions"] = _versions()
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(RESULT, index=False, float_format="%.4g")
    print(f"wrote {RESULT}")


def _processor() -> str:
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    )
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _versions() -> str:
    import numba

    found = {"numpy": np.__version__, "numba": numba.__version__, "torch": torch.__version__}
    if "JAX, rows" in ENGINES:
        import jax

        found["jax"] = jax.__version__
    return ", ".join(f"{k} {v}" for k, v in found.items())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
