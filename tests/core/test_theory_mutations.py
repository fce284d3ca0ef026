"""The checks notice when a statement is altered: the shipped functions themselves are mutated.

A mutant is the function's own source with one node of its syntax tree changed; its code object
takes the shipped one's place, so that everybody who calls the function gets the mutant. First the
alterations that a reader would think of, by name; then every one that the operators below can make.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import FunctionType

import pytest
from theory_suite import SUITES

from accel_core import models
from accel_core.theory import (
    circulation,
    layers,
    limits,
    objectives,
    orders,
    preconditioning,
    two_points,
    warmup,
)

NAMED = [
    # (module, function, what is written, what the mutant says), beyond what the operators make
    (layers, "_neighbourhoods", "layer @ before[-1]", "layer.T @ before[-1]"),
    (layers, "imbalance", "before @ before.T", "before.T @ before"),  # the misprint
    (preconditioning, "singular_system", "max(matrix.shape) *", "0.0 *"),  # no threshold
    (preconditioning, "singular_system", "max(matrix.shape) *", "1e8 *"),
    (preconditioning, "left_power", "2 * exponent", "exponent"),
    (preconditioning, "end_to_end_field", "(j - 1) / depth", "j / depth"),
    (preconditioning, "end_to_end_field", "range(1, depth + 1)", "range(1, depth)"),
    (preconditioning, "end_to_end_field", "range(1, depth + 1)", "range(0, depth)"),
    (preconditioning, "end_to_end_field", "weight_decay * depth", "weight_decay"),
    (preconditioning, "preconditioner", "np.kron(right, left)", "np.kron(left, right)"),
    (preconditioning, "preconditioner_eigensystem", "2 * (depth - j)", "(depth - j)"),
    (preconditioning, "preconditioner_eigensystem", "(right @ left.T)", "(left @ right.T)"),
    (preconditioning, "adaptive_factor", "2 - 2 / depth", "2 - 1 / depth"),
    (preconditioning, "single_output_field", "(depth - 1)", "depth"),
    (circulation, "half_annulus_constant", "(depth - 2)", "(depth - 1)"),
    (circulation, "half_annulus_constant", "3 - 2 / depth", "3 - 1 / depth"),
    (circulation, "half_annulus", "(np.pi, 0.0)", "(0.0, np.pi)"),
    (circulation, "curl", "np.outer(w, twist)", "np.outer(twist, w)"),
    (two_points, "monotone_constant", "2 - 2 / depth", "1 - 1 / depth"),
    (two_points, "_step", "(depth - 1.0)", "depth"),
    (two_points, "crawl", "2 - 2 / depth", "2 - 1 / depth"),
    (warmup, "dropped_term", "rate ** 2", "rate"),
    (warmup, "coefficients", "scalar ** 2", "scalar"),
    (limits, "escape_time", "2 / depth - 1", "2 / depth"),
    (orders, "_second_order", "after.T @ after", "after @ after.T"),
]

# Mutants that alter no statement: (function, what only the mutant says), and why.
EQUIVALENT = {
    ("gauss_integral", "leggauss(21)"): "another number of nodes, no less exact",
    ("area_integral", "leggauss(21)"): "another number of nodes, no less exact",
    ("adaptive_integral", "max(2.0,"): "the integrand's size, for the solver's tolerance only",
    ("adaptive_integral", "linspace(1, 1, 9)"): "the same",
    ("adaptive_integral", "linspace(0, 2, 9)"): "the same",
    ("adaptive_integral", "linspace(0, 1, 10)"): "the same",
    ("_step", "else 1.0"): "at w = 0, where it is multiplied by w",
    ("stable_rates", "counts >= 1"): "a start inside the target needs no rate",
    ("escape_steps", "100001"): "a larger budget",
    ("predicted_drift", "402"): "another number of points, no less exact",
    ("gradient", "/ np.sign(residual)"): "a sign is its own inverse",
}


def _functions() -> Iterator[tuple[str, object, str]]:
    for module in (layers, preconditioning, warmup, circulation, two_points, limits, orders):
        for name, value in vars(module).items():
            function = getattr(value, "py_func", value)
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                yield module.__name__.rpartition(".")[2], module, name
    for name in ("imbalance", "balancedness"):
        yield "layers", models, name
    for cls in (objectives.Quadratic, objectives.Radial, objectives.Separable):
        for name in ("gradient", "hessian", "value"):
            yield "objectives", cls, name


def _source(owner: object, name: str) -> str:
    value = getattr(owner, name)
    text = textwrap.dedent(inspect.getsource(getattr(value, "py_func", value)))
    tree = ast.parse(text)
    tree.body[0].decorator_list = []  # compiled functions run as plain Python here
    return ast.unparse(tree)


def _install(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, source: str) -> None:
    shipped = getattr(owner, name)
    module = inspect.getmodule(shipped)
    namespace: dict = {}
    exec(compile(source, f"<mutant of {name}>", "exec"), vars(module), namespace)
    mutant = namespace[name]
    if isinstance(shipped, FunctionType):
        monkeypatch.setattr(shipped, "__code__", mutant.__code__)
    else:  # compiled code keeps what it was linked with: all of the module's runs as Python
        for other, value in list(vars(owner).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(owner, other, value.py_func)
        monkeypatch.setattr(owner, name, mutant)


def _noticed(suite: str) -> str:
    """The check that notices, or the error that a mutant dies of; empty if nothing is noticed."""
    try:
        return next((check.statement for check in SUITES[suite]() if not check.holds), "")
    except Exception as error:
        return type(error).__name__


SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


class _Mutator(ast.NodeTransformer):
    """Changes the n-th place that can be changed, and says which it was."""

    def __init__(self, number: int) -> None:
        self.left, self.what = number, ""

    def _turn(self, node: ast.AST) -> bool:
        self.left -= 1
        if self.left == -1:
            self.what = ast.unparse(node)
        return self.left == -1

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
            node.body[1:] = [self.visit(part) for part in node.body[1:]]  # docstring, signature
        else:
            node.body = [self.visit(part) for part in node.body]
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        # what only rejects bad input is tested as such
        return node if isinstance(node.body[-1], ast.Raise) else self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        # tolerances and budgets of integrators, and how arrays are laid out, are no statements
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if type(node.op) in SWAPS and self._turn(node):
            node.op = SWAPS[type(node.op)]()
            return node
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        return ast.Constant(node.value + 1) if number and self._turn(node) else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if isinstance(node.op, ast.USub) and self._turn(node):
            return node.operand
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr == "T" and self._turn(node):
            return node.value
        return self.generic_visit(node)


def _mutants(source: str) -> Iterator[tuple[str, str]]:
    number = 0
    while True:
        mutator = _Mutator(number)
        tree = ast.fix_missing_locations(mutator.visit(ast.parse(source)))
        if not mutator.what:
            return
        yield mutator.what, ast.unparse(tree)
        number += 1


@pytest.mark.parametrize("suite", sorted(set(SUITES)))
def test_unaltered_functions_pass(suite):
    assert [check for check in SUITES[suite]() if not check.holds] == []


@pytest.mark.parametrize(
    ("module", "name", "old", "new"),
    NAMED,
    ids=[f"{name}: {old} to {new}" for _, name, old, new in NAMED],
)
def test_named_alteration_is_noticed(monkeypatch, module, name, old, new):
    source = _source(module, name)
    assert source.count(old) >= 1, f"{name} no longer says {old!r}: mend the list"
    _install(monkeypatch, module, name, source.replace(old, new, 1))
    assert _noticed(module.__name__.rpartition(".")[2]), f"{name} with {new!r} passes every check"


@pytest.mark.parametrize(
    ("suite", "owner", "name"),
    list(_functions()),
    ids=[f"{suite}.{name}" for suite, owner, name in _functions()],
)
def test_every_alteration_is_noticed(monkeypatch, suite, owner, name):
    survivors = []
    for what, source in _mutants(_source(owner, name)):
        if any(name == function and mark in source for function, mark in EQUIVALENT):
            continue
        with monkeypatch.context() as context:
            _install(context, owner, name, source)
            if not _noticed(suite):
                survivors.append((what, source))
    assert not survivors, "\n\n".join(f"{what!r} altered in:\n{text}" for what, text in survivors)
