"""A Sphinx extension: what the book's pages get from the chapters and the library when it is built.

- Every chapter's page gets the box of `commands.box` below its title.
- `<!-- modules: library -->`, `theory` or `chapters` becomes the reference of these modules.
- `<!-- citation -->` becomes the BibTeX entry of CITATION.cff.
- What no page loads is left out of the site.
- Docstrings are plain text: what reads as mark-up is set as it stands, and a label of the theory
  chapters (thm-end-to-end, eq-end-to-end) becomes a link to its statement or equation.
"""

import io
import json
import pkgutil
import re
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

import accel_core
import report
from accel_core.theory.check import TITLES
from report import commands
from report.figure_data import NUMBERS, RUNS, summary

__all__ = ["bibtex", "linked", "modules", "reference", "setup", "superfluous", "with_box"]

# The library proper, in the order in which data flow through it.
LIBRARY = (
    "datasets",
    "datasets.reading",
    "datasets.published",
    "problem",
    "models",
    "initializers",
    "rules",
    "training",
    "engine.batch",
    "engine.kernels",
    "engine.quadratic",
    "engine.plain",
    "engine.device",
    "statistics",
    "intervals",
    "convolutional",
    "mnist",
)
DRAWN_WITH = ("matplotlib", "numpy", "pandas", "torch")
LABEL = re.compile(r"\b(thm|eq)(?:-[a-z0-9]+)+\b")


def modules(part: str) -> list[str]:
    """The modules of a part of the reference: 'library', 'theory', or 'chapters', all others."""
    found = [
        module.name
        for package in (accel_core, report)
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        if not module.name.endswith("__main__")
    ]
    library = [f"accel_core.{name}" for name in LIBRARY]
    theory = [name for name in found if name.startswith("accel_core.theory")]
    rest = [name for name in found if name not in {*library, *theory}]
    return {"library": library, "theory": theory, "chapters": rest}[part]


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


def with_box(source: str, box: str) -> str:
    """The notebook `source` (JSON) with `box` below its first heading."""
    content = json.loads(source)
    cell = content["cells"][0]
    text = "".join(cell["source"])
    heading = re.search(r"^# .*\n?", text, re.M)  # a label may stand before it
    cell["source"] = f"{text[: heading.end()].rstrip()}\n{box}{text[heading.end() :]}"
    return json.dumps(content)


def with_data(source: str, folder: Path, chapter: str) -> str:
    """The notebook `source` (JSON) with, below each figure, a link to its numbers and folded away
    the details of its runs. Both are taken out of the outputs, and written to `folder` as CSV."""
    content = json.loads(source)
    cells = []
    for cell in content["cells"]:
        cells.append(cell)
        for output in cell.get("outputs", ()):
            offered = output.get("data", {})
            tables = {
                kind: "".join(offered.pop(kind)) for kind in (NUMBERS, RUNS) if kind in offered
            }
            if tables:
                name = f"{chapter}-figure-{len(cells)}"
                text = _below(tables, folder, name, cell.get("metadata", {}).get("papermill", {}))
                below = {"cell_type": "markdown", "id": f"figure-{len(cells)}", "metadata": {}}
                cells.append(below | {"source": [text]})
    return json.dumps(content | {"cells": cells})


def _below(tables: dict[str, str], folder: Path, name: str, executed: dict) -> str:
    """What stands below a figure (MyST): the link to its numbers, the fold with its runs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(tables[NUMBERS], encoding="utf8")
    if RUNS not in tables:
        return f"{{download}}`The whole table (CSV) <data/{name}.csv>`\n"
    runs = pd.read_csv(io.StringIO(tables[RUNS]))
    lines = summary(runs)
    if executed.get("duration") is not None:
        drawn = f"{pd.to_datetime(executed['end_time']):%Y-%m-%d}, in {executed['duration']:.1f} s"
        lines["drawn"] = f"{drawn}, with {', '.join(f'{n} {version(n)}' for n in DRAWN_WITH)}"
    if len(runs):
        (folder / f"{name}-runs.csv").write_text(tables[RUNS], encoding="utf8")
        lines["all of them"] = (
            f"{{download}}`one a line, with record keys (CSV) <data/{name}-runs.csv>`"
        )
    rows = "\n".join(f"| {title} | {text} |" for title, text in lines.items())
    return f"""{{download}}`The figure's numbers (CSV) <data/{name}.csv>`

:::{{dropdown}} Run details
:class-container: run-it
| Detail | Value |
|---|---|
{rows}
:::
"""


def bibtex(citation: dict) -> str:
    """The BibTeX entry of a CITATION.cff."""
    authors = " and ".join(
        f"{{{author['name']}}}"
        if "name" in author
        else f"{author['family-names']}, {author['given-names']}"
        for author in citation["authors"]
    )
    fields = {"title": f"{{{citation['title']}}}", "author": authors}
    fields["version"] = citation["version"]
    if "date-released" in citation:
        fields["year"] = citation["date-released"].year
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join(["@software{accel_core,", *lines, "}"])


def _replaced(app, docname: str, source: list[str]) -> None:
    root = Path(app.srcdir).parent
    if docname.startswith("executed/"):
        notebook = root / "notebooks" / f"{Path(docname).name}.ipynb"
        content = with_box(source[0], commands.box(notebook))
        source[0] = with_data(content, Path(app.srcdir) / "executed" / "data", notebook.stem)
        return
    source[0] = re.sub(
        r"^<!-- modules: (\w+) -->$", lambda m: reference(m[1]), source[0], flags=re.M
    )
    if "<!-- citation -->" in source[0]:
        import yaml

        entry = bibtex(yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8")))
        source[0] = source[0].replace("<!-- citation -->", f"```bibtex\n{entry}\n```\n")


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


def superfluous(pages: Path) -> list[Path]:
    """Files of a built site that no page loads: MathJax's other bundles and its speech in other
    languages than the book's, and maps for debuggers."""
    kept = {"tex-chtml.js", "base.json", "en.json", "nemeth.json"}
    kinds = ("mathjax/tex-*.js", "mathjax/mml-*.js", "mathjax/sre/mathmaps/*.json")
    found = [path for kind in kinds for path in (pages / "_static").glob(kind)]
    return [*(path for path in found if path.name not in kept), *pages.rglob("*.js.map")]


def _finished(app, exception) -> None:
    for path in superfluous(Path(app.outdir)):
        path.unlink()


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    hooks: dict[str, Callable] = {
        "source-read": _replaced,
        "autodoc-process-docstring": _docstring,
        "autodoc-skip-member": _skipped,
        "build-finished": _finished,
    }
    for event, hook in hooks.items():
        app.connect(event, hook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
