"""A Sphinx extension: what a chapter's page gets beside its own text.

- At the end of each caption: the figure's numbers, or the whole table. Below a figure: its runs,
  its layout for phones.
- At the end: how to run the chapter.
- `<!-- citation -->` becomes the BibTeX entry of CITATION.cff.
"""

import io
import json
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import yaml

from report import commands
from report.figure_data import NUMBERS, PHONE, RUNS, summary

__all__ = ["PHONE_FIGURE", "bibtex", "setup", "with_box", "with_data"]

DRAWN_WITH = ("matplotlib", "numpy", "pandas", "torch")
KINDS = (NUMBERS, RUNS, PHONE)
#: Stands below a figure that has a layout for phones; `book_site` takes it out.
PHONE_FIGURE = '<span hidden data-phone-figure="{name}"></span>'


def with_box(source: str, box: str) -> str:
    """The notebook `source` (JSON) with `box` at its end: how to run the chapter."""
    content = json.loads(source)
    cell = {"cell_type": "markdown", "id": "run-it", "metadata": {}, "source": [box]}
    return json.dumps(content | {"cells": [*content["cells"], cell]})


def with_data(source: str, folder: Path, chapter: str) -> str:
    """The notebook `source` (JSON) with, at the end of each caption, a link to the figure's numbers
    or the whole table, and below a figure, folded, the details of its runs. All are taken out of
    the outputs, and written to `folder`."""
    cells, waiting = [], None
    for cell in json.loads(source)["cells"]:
        if waiting:
            caption, cell = _caption(cell)
            cells.append(waiting | {"source": ["\n".join([caption, *waiting["source"]]).lstrip()]})
        cells += [cell] if cell else []
        waiting = _offered(cell, len(cells), folder, chapter) if cell else None
    cells += [waiting] if waiting else []
    return json.dumps(json.loads(source) | {"cells": cells})


def _offered(cell: dict, number: int, folder: Path, chapter: str) -> dict | None:
    """The cell to stand below a figure or table, made of what its output holds beside it."""
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        offered = {kind: "".join(data.pop(kind)) for kind in KINDS if kind in data}
        if NUMBERS in offered:
            name = f"{chapter}-{'figure' if RUNS in offered else 'table'}-{number}"
            text = _below(offered, folder, name, cell.get("metadata", {}).get("papermill", {}))
            below = {"cell_type": "markdown", "id": f"below-{number}", "metadata": {}}
            return below | {"source": [text]}
    return None


def _caption(cell: dict) -> tuple[str, dict | None]:
    """The caption that a text cell begins with, bold, and the cell with what follows."""
    text = "".join(cell["source"])
    if cell["cell_type"] != "markdown" or not text.startswith("**"):
        return "", cell
    caption, _, rest = text.partition("\n\n")
    return caption, (cell | {"source": [rest]} if rest.strip() else None)


def _below(offered: dict[str, str], folder: Path, name: str, executed: dict) -> str:
    """What stands below a figure or table (MyST): the link to its numbers, the fold of its runs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(offered[NUMBERS], encoding="utf8")
    if RUNS not in offered:
        return f"{{download}}`Whole table (CSV) <data/{name}.csv>`\n"
    runs = pd.read_csv(io.StringIO(offered[RUNS]))
    lines = summary(runs)
    if executed.get("duration") is not None:
        drawn = f"{pd.to_datetime(executed['end_time']):%Y-%m-%d}, in {executed['duration']:.1f} s"
        lines["drawn"] = f"{drawn}, with {', '.join(f'{n} {version(n)}' for n in DRAWN_WITH)}"
    if len(runs):
        (folder / f"{name}-runs.csv").write_text(offered[RUNS], encoding="utf8")
        lines["all of them"] = (
            f"{{download}}`one a line, with record keys (CSV) <data/{name}-runs.csv>`"
        )
    marker = ""
    if PHONE in offered:
        (folder / f"{name}-phone.svg").write_text(offered[PHONE], encoding="utf8")
        marker = f"\n{PHONE_FIGURE.format(name=name)}\n"
    rows = "\n".join(f"| {title} | {text} |" for title, text in lines.items())
    return f"""{{download}}`Numbers (CSV) <data/{name}.csv>`
{marker}
:::{{dropdown}} Run details
:class-container: run-it run-details
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
        content = with_data(source[0], Path(app.srcdir) / "executed" / "data", notebook.stem)
        source[0] = with_box(content, commands.box(notebook))
    if "<!-- citation -->" in source[0]:
        entry = bibtex(yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8")))
        source[0] = source[0].replace("<!-- citation -->", f"```bibtex\n{entry}\n```\n")


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _replaced)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
