"""A Sphinx extension: the reference, from the docstrings of the library.

- `<!-- modules: library -->` or `theory` becomes the reference of these modules.
- Docstrings are plain text: what reads as mark-up is set as it stands, and a label of the theory
  chapters (thm-end-to-end, eq-end-to-end) becomes a link to its statement or equation.
"""

import pkgutil
import re
from importlib.util import find_spec

import accel_core
from report.theory_tables import TITLES

__all__ = ["linked", "modules", "reference", "setup"]

# What a reader looks for first; other modules follow by name.
FIRST = ("datasets", "problem", "models", "initializers", "rules", "training", "statistics")
LABEL = re.compile(r"\b(thm|eq)(?:-[a-z0-9]+)+\b")


def modules(part: str) -> list[str]:
    """The modules of a part of the reference: 'library', or 'theory'."""
    found = [module.name for module in pkgutil.walk_packages(accel_core.__path__, "accel_core.")]
    theory = [name for name in found if name.startswith("accel_core.theory")]
    first = [f"accel_core.{name}" for name in FIRST if f"accel_core.{name}" in found]
    rest = [name for name in found if name not in {*first, *theory}]
    return {"library": [*first, *rest], "theory": theory}[part]


def reference(part: str) -> str:
    """The reference of a part: for each module a heading and what autodoc makes of it (MyST)."""
    return "\n".join(
        f"## {name.removeprefix('accel_core.')}\n\n```{{eval-rst}}\n.. automodule:: {name}\n"
        f"   :members:\n{_own(name)}   :no-value:\n```\n"
        for name in modules(part)
    )


def _own(name: str) -> str:
    """A package's list of names repeats those of its modules, where they are documented."""
    package = find_spec(name).submodule_search_locations is not None
    return "   :ignore-module-all:\n" if package else ""


def linked(text: str) -> str:
    """A line of a docstring as reStructuredText: plain, `names` as code, labels as links."""
    pieces = re.split(r"(`+[^`]+`+|\*\w[^*]*\w\*)", text)
    return "".join(map(_piece, pieces))


def _piece(piece: str) -> str:
    if LABEL.fullmatch(piece.strip("`")):
        piece = piece.strip("`")
    if piece.startswith("`"):
        return f"\\ ``{piece.strip('`')}``\\ "
    if piece.startswith("*") and len(piece) > 1:
        return piece
    piece = re.sub(r"([\\*|_])", r"\\\1", piece)
    return LABEL.sub(_link, piece)


def _link(found: re.Match) -> str:
    label = found[0]
    if found[1] == "eq":
        return f"equation :eq:`{label}`"
    return f":ref:`{TITLES.get(label, label)} <{label}>`"


def _docstring(app, what, name, obj, options, lines: list[str]) -> None:
    for i, line in enumerate(lines):
        # examples, and what is indented below a line, are shown as they stand
        lines[i] = line if _example(lines, i) else linked(line)


def _example(lines: list[str], i: int) -> bool:
    while i >= 0 and lines[i].strip():
        if lines[i].lstrip().startswith(">>>"):
            return True
        i -= 1
    return False


def _skipped(app, what, name, obj, skip, options) -> bool | None:
    """Named tuples document each field with its number, which says nothing."""
    return True if str(obj.__doc__).startswith("Alias for field number") else None


def _replaced(app, docname: str, source: list[str]) -> None:
    source[0] = re.sub(
        r"^<!-- modules: (\w+) -->$", lambda m: reference(m[1]), source[0], flags=re.M
    )


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _replaced)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-skip-member", _skipped)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
