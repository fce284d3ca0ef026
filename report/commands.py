"""How a chapter is run: its parameters, read from its own cells, and the commands that use them.

From these come the page on parameters (`python -m report readme` writes it) and the box at the
end of every chapter's page (the Sphinx extension puts it there).
"""

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import parameters as rules

__all__ = ["Parameter", "box", "command", "parameter_page", "parameters", "title"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a chapter: its default, what `check_parameters` allows, and its comment."""

    name: str
    default: Any
    allowed: str
    comment: str


def _cells(notebook: Path) -> list:
    import nbformat

    return nbformat.read(notebook, 4).cells


def title(notebook: Path) -> str:
    """The chapter's title: its first heading."""
    return _cells(notebook)[0].source.splitlines()[0].removeprefix("# ")


def parameters(notebook: Path) -> list[Parameter]:
    """The parameters of a chapter, in the order of its cell.

    The cell tagged `parameters` has an assignment a line, each with its comment; the next code cell
    names every rule. Raises `ValueError` where a rule is missing.
    """
    code = [cell.source for cell in _cells(notebook) if cell.cell_type == "code"]
    declared, guard = code[:2]
    given, comments = _rules(guard), _comments(declared)
    found = []
    for line in ast.parse(declared).body:
        if isinstance(line, ast.Assign):
            (target,) = line.targets
            name = target.id
            if name not in given:
                raise ValueError(f"{notebook.name}: {name!r} has no rule in check_parameters")
            default = ast.literal_eval(line.value)
            comment = comments.get(line.end_lineno, "")
            found.append(Parameter(name, default, rules.words(given[name]), comment))
    return found


def _rules(source: str) -> dict[str, rules.Rule]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "parameters.check_parameters":
            return {
                keyword.arg: eval(ast.unparse(keyword.value), {"parameters": rules})
                for keyword in node.keywords
            }
    raise ValueError("the cell after the parameters does not call parameters.check_parameters")


def _comments(source: str) -> dict[int, str]:
    """The comment of each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def command(notebook: Path, **changed: Any) -> str:
    """The papermill command that runs a chapter from the clone, every parameter spelt out."""
    values = {parameter.name: parameter.default for parameter in parameters(notebook)} | changed
    options = " ".join(rules.option(name, value) for name, value in values.items())
    return f"papermill notebooks/{notebook.name} out.ipynb {options}"


def box(notebook: Path) -> str:
    """What the chapter's page offers below its title: notebook, text, and commands (MyST)."""
    at, name = f"../../notebooks/{notebook.stem}", notebook.stem
    return f"""
:::{{dropdown}} Run this chapter yourself
:class-container: run-it
{{download}}`{name}.ipynb <{at}.ipynb>`: the notebook with the outputs of this page.
{{download}}`{name}.md <{at}.md>`: its text, in MyST.

In the clone, after `source .venv/bin/activate`, with the parameters of this page:

```bash
{command(notebook)}
```

In small, computed on the spot:

```bash
{command(notebook, profile="smoke")}
```

What each parameter means and may be stands on the page of [](/parameters.md).
:::
"""


def parameter_page(notebooks: list[Path]) -> str:
    """The tables of the page on parameters: those of every chapter that has more than `profile`."""
    lines = []
    for notebook in notebooks:
        own = [p for p in parameters(notebook) if p.name != "profile"]
        if own:
            lines += ["", f"**[{title(notebook)}](executed/{notebook.stem}.ipynb)**"]
            lines += ["", "| parameter | default | allowed | meaning |", "|---|---|---|---|"]
            lines += [f"| {' | '.join(_cells_of(p))} |" for p in own]
    return "\n".join(lines)


def _cells_of(parameter: Parameter) -> tuple[str, ...]:
    default = f"`{parameter.default}`" if parameter.default != "" else "(empty)"
    # values that stand in quotes as code: typographic quotes would not be the value
    allowed = re.sub(r"'([^']*)'", r"`\1`", parameter.allowed)
    return f"`{parameter.name}`", default, allowed, parameter.comment
