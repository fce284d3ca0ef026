"""The trainer's rivals train the same models; one that computes something else is found."""

import numpy as np
import pytest

from accel_core.problem import Problem
from report.bench import __main__ as bench
from report.bench.engines import ENGINES, Case, limits


@pytest.fixture(params=[2.0, 4.0])
def case(request):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    return Case(Problem(X, y, request.param), ((1, 1), (2, 3), (3, 1)), 2)


def test_all_engines_end_at_the_same_matrices(case):
    engines = {
        n: e for n, e in ENGINES.items() if case.problem.p == 2 or n != "JAX, second moments"
    }
    assert {"ours", "plain loop", "torch.func.vmap"} <= set(engines)
    bench.verify(case, engines)


def test_an_engine_that_computes_something_else_is_named(case):
    def wrong(case, iterations):
        return lambda: ENGINES["ours"](case, iterations)() * (1 + 1e-6)

    with pytest.raises(AssertionError, match="mine computes something else"):
        bench.verify(case, {"mine": wrong})


def test_the_limit_is_the_two_products_in_every_layout(case):
    found = limits(case)
    assert {f"{library} {layout}" for library in ("NumPy", "torch")
            for layout in ("X Wᵀ", "W Xᵀ", "Xᵀ Wᵀ", "W Xᵀᵀ")} <= set(found)  # fmt: skip
    for loop in found.values():
        loop(2)


def test_times_are_per_model_and_iteration(case, monkeypatch):
    monkeypatch.setattr(bench, "REPEATS", 3)
    monkeypatch.setattr(bench, "WORK", 1e5)
    seconds = iter(range(100))
    monkeypatch.setattr(bench, "timed", lambda step: (step(), next(seconds))[1])
    rows = bench.measure("mine", case, {"ours": ENGINES["ours"]}, with_limit=False)
    (row,) = rows
    units = bench.iterations_of("ours", case) * case.models
    assert row["microseconds"] == pytest.approx(1e6 * 2 / units)  # of 1, 2, 3; 0 warmed up
    assert (row["repeats"], row["engine"], row["depth"]) == (3, "ours", "1+2+3")
