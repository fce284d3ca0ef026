"""What every chapter says first and last: its parameters are sound, and which checks were run.

A chapter's first code cells are

    profile = "paper"                                          # tagged `parameters`
    rates = [1e-3, 1e-2]

    from report import parameters
    parameters.check_parameters(globals(), profile=parameters.PROFILES, rates=...)

papermill writes the values of `-p name value` into a cell between the two. It only warns of a name
that no cell declares, and the chapter would run with the default: `check_parameters` refuses it.
"""

import ast
import difflib
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

PROFILES = ("paper", "smoke")


class ParameterError(ValueError):
    """A chapter was given a parameter that it does not have, or a value that it cannot take."""


@dataclass(frozen=True)
class Number:
    """Finite real numbers greater than `above`, `at_least`, `at_most`; whole if `integer`."""

    above: float = -math.inf
    at_least: float = -math.inf
    at_most: float = math.inf
    integer: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a chapter may be given this value."""
        return (
            isinstance(value, Real)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and self.above < value
            and self.at_least <= value <= self.at_most
            and (not self.integer or value == int(value))
        )

    def __str__(self) -> str:
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (
                ("greater than", self.above),
                ("at least", self.at_least),
                ("at most", self.at_most),
            )
            if math.isfinite(bound)
        ]
        kind = "a whole number" if self.integer else "a finite number"
        return " ".join([kind, " and ".join(bounds)]).rstrip()


@dataclass(frozen=True)
class Each:
    """Lists, not empty, of which `rule` allows each member."""

    rule: "Number | Text | tuple"

    def allows(self, value: Any) -> bool:
        """Whether a chapter may be given this value."""
        return (
            isinstance(value, list | tuple)
            and len(value) > 0
            and all(_allows(self.rule, member) for member in value)
        )

    def __str__(self) -> str:
        return f"a list, each member {words(self.rule)}"


@dataclass(frozen=True)
class Text:
    """Text of any kind, `what` says which; the empty one where that is `optional`."""

    what: str
    optional: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a chapter may be given this value."""
        return isinstance(value, str) and (self.optional or value != "")

    def __str__(self) -> str:
        return self.what


#: A learning rate.
RATE = Number(above=0)
#: The exponent p of an ℓp loss.
EXPONENT = Number(at_least=2)
#: How many of something there are.
COUNT = Number(at_least=1, integer=True)
#: A seed, or the number of a start.
SEED = Number(at_least=0, integer=True)

Rule = Number | Each | Text | tuple


def _allows(rule: Rule, value: Any) -> bool:
    # 1 == True == 1.0: a choice is met by a value of its own type only
    if isinstance(rule, tuple):
        return any(type(value) is type(choice) and value == choice for choice in rule)
    return rule.allows(value)


def words(rule: Rule) -> str:
    """What a rule allows, in words."""
    return " or ".join(map(repr, rule)) if isinstance(rule, tuple) else str(rule)


def _nearest(word: Any, choices: Iterable[Any], otherwise: Any) -> Any:
    named = {str(choice): choice for choice in choices}
    found = difflib.get_close_matches(str(word), named, n=1, cutoff=0.0)
    return named[found[0]] if found else otherwise


def option(name: str, value: Any) -> str:
    """The option that gives papermill this parameter, as a shell wants it written."""
    if isinstance(value, list | tuple | dict):
        return f"-y {shlex.quote(f'{name}: {_yaml(value)}')}"
    return f"-p {name} {shlex.quote(str(value))}"


def _yaml(value: Any) -> str:
    """The value in YAML's flow style, which reads 1e-05 as text and 1.0e-05 as a number."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))


def _remedy(name: str, rule: Rule, value: Any) -> str:
    if isinstance(rule, tuple):
        return f"did you mean {option(name, _nearest(value, rule, rule[0]))}?"
    if isinstance(value, str) and (number := _as_number(value)) is not None:
        return f"YAML reads {value} as text; write {option(name, number)}"
    if isinstance(rule, Each) and _allows(rule, [value]):
        return f"it is a list, of one member too: {option(name, [value])}"
    example = f"-y '{name}: [VALUE, ...]'" if isinstance(rule, Each) else f"-p {name} VALUE"
    return f"pass another value with {example}, or leave it out"


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def injected(namespace: Mapping[str, Any]) -> list[str]:
    """Names that papermill gave the chapter: those assigned in its cell, which IPython keeps in
    `In` and which begins with the comment "# Parameters". A variable that a user's startup file
    defines is none of them."""
    cells = [source for source in namespace.get("In", ()) if source.startswith("# Parameters\n")]
    return [
        target.id
        for source in cells
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]


def check_parameters(namespace: Mapping[str, Any], **rules: Rule) -> None:
    """Raise `ParameterError` unless the parameters named in `rules` stand in `namespace` (a
    chapter's `globals()`), each allowed by its rule: a tuple of choices, a `Number`, `Text` or
    `Each`; and unless papermill gave the chapter no other name.

    >>> check_parameters({"p": 4}, p=EXPONENT)
    >>> check_parameters({"p": 1}, p=EXPONENT)
    Traceback (most recent call last):
    report.parameters.ParameterError: p = 1 is not allowed: p must be a finite number ...
    """
    for name in injected(namespace):
        if name not in rules:
            value = namespace[name]
            meant = _nearest(name, rules, "profile")
            raise ParameterError(
                f"this chapter has no parameter {name!r} (given as {value!r}); it has "
                f"{', '.join(rules)}; did you mean {_meant(meant, rules.get(meant), value)}?"
            )
    for name, rule in rules.items():
        if name not in namespace:
            raise ParameterError(
                f"the parameter {name!r} is checked but not set; set it in the cell tagged "
                f"'parameters' (allowed: {words(rule)})"
            )
        if not _allows(rule, namespace[name]):
            raise ParameterError(
                f"{name} = {namespace[name]!r} is not allowed: {name} must be {words(rule)}; "
                f"{_remedy(name, rule, namespace[name])}"
            )


def _meant(name: str, rule: Rule | None, value: Any) -> str:
    """The option that was probably meant: with this value where its rule allows it."""
    for each in (value, [value]):
        if rule is not None and _allows(rule, each):
            return option(name, each)
    return f"{name} ({words(rule)})" if rule is not None else name


@dataclass(frozen=True)
class Status:
    """Which checks this execution of the chapter ran, and which it left out and why.

    Its cell is the only one whose output may differ from machine to machine: tag it
    `nbval-ignore-output`.
    """

    run: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]

    def _repr_markdown_(self) -> str:
        lines = [f"- Checked in this build: {'; '.join(self.run)}."] if self.run else []
        lines += [
            f"- **Not checked** in this build: {what}, because {why}."
            for what, why in self.left_out
        ]
        return "\n".join(lines) or "- This chapter has nothing to check."


def status(run: Iterable[str] = (), left_out: Mapping[str, str] | None = None) -> Status:
    """The status of a chapter: the checks `run`, and those `left_out` with the reason of each.

    >>> print(status(["the curves"], {"batch 7": "its file is not at hand"})._repr_markdown_())
    - Checked in this build: the curves.
    - **Not checked** in this build: batch 7, because its file is not at hand.
    """
    return Status(tuple(run), tuple((left_out or {}).items()))


#: What an execution for the book holds, and a stored notebook does not.
BOOK_ONLY = ("text/csv", "text/x-accel-runs", "image/x-phone-svg")


def stored(outputs: list) -> list:
    """These outputs of an executed cell, without what is for the book alone."""
    for output in outputs:
        for kind in BOOK_ONLY:
            output.get("data", {}).pop(kind, None)
    return outputs


def keep_outputs(executed: Path, notebook: Path) -> None:
    """Store in `notebook` the outputs that `executed`, an execution of the same cells, has.

    Timings and papermill's notes are left behind: a notebook changes only where its results do.
    Raises `ValueError` where the cells are not the same, for instance after an edit.
    """
    import nbformat

    source, target = nbformat.read(executed, 4), nbformat.read(notebook, 4)
    if [cell.source for cell in source.cells] != [cell.source for cell in target.cells]:
        raise ValueError(f"{executed} is not an execution of {notebook} as it is now: execute anew")
    for done, cell in zip(source.cells, target.cells, strict=True):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = stored(done.outputs), done.execution_count
    nbformat.write(target, notebook)
