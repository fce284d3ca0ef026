"""How a chapter is run: its parameters, read from its own cells, and the commands that use them.

From these come the page on parameters (`python -m report readme` writes it) and the box at the
end of every chapter's page (the Sphinx extension puts it there).
"""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from papermill import inspect_notebook

from report.parameters import option

__all__ = ["Parameter", "box", "command", "parameter_page", "parameters", "title"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a chapter: its name, its default, and what its comment says of it."""

    name: str
    default: Any
    comment: str


def title(notebook: Path) -> str:
    """The chapter's title: its first heading."""
    first = nbformat.read(notebook, 4).cells[0].source
    return next(line for line in first.splitlines() if line.startswith("# ")).removeprefix("# ")


def parameters(notebook: Path) -> list[Parameter]:
    """The parameters of a chapter, in the order of its cell, as papermill reads them: an assignment
    a line, each with its comment. Nothing of the notebook is executed."""
    found = inspect_notebook(str(notebook)).values()
    return [Parameter(it["name"], ast.literal_eval(it["default"]), it["help"]) for it in found]


def command(notebook: Path, **changed: Any) -> str:
    """The papermill command that runs a chapter from the clone, every parameter spelt out."""
    values = {parameter.name: parameter.default for parameter in parameters(notebook)} | changed
    options = " ".join(option(name, value) for name, value in values.items())
    return f"papermill notebooks/{notebook.name} out.ipynb {options}"


def box(notebook: Path) -> str:
    """What the chapter's page offers at its end: notebook, text, and commands (MyST)."""
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

What each parameter means stands on the page of [](/parameters.md).
:::
"""


def parameter_page(notebooks: list[Path]) -> str:
    """The tables of the page on parameters: those of every chapter that has more than `profile`."""
    lines = []
    for notebook in notebooks:
        own = [p for p in parameters(notebook) if p.name != "profile"]
        if own:
            lines += ["", f"**[{title(notebook)}](executed/{notebook.stem}.ipynb)**"]
            lines += ["", "| parameter | default | meaning |", "|---|---|---|"]
            lines += [f"| `{p.name}` | {_default(p)} | {p.comment} |" for p in own]
    return "\n".join(lines)


def _default(parameter: Parameter) -> str:
    return f"`{parameter.default}`" if parameter.default != "" else "(empty)"
