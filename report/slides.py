"""A talk from the same record: one HTML file with the figures and numbers of executed chapters.

The text stands in `book/talk/slides.md`. A line `---` ends a slide; `![words](20-tuned-rates#2)` is
the second figure of a chapter, `{20-tuned-rates:speedup:.2g}` a value that it glues; what follows a
line `Notes:` is for the speaker.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from html import escape
from pathlib import Path
from string import Template

import nbformat

from report.paths import BOOK

__all__ = ["SlideError", "deck", "write"]

EXECUTED = BOOK / "executed"
TALK = BOOK / "talk"
FIGURE = re.compile(r"!\[([^\]]*)\]\(([\w-]+)#(\d+)\)")
VALUE = re.compile(r"\{([\w-]+):(\w+)(?::([^}]*))?\}")


class SlideError(LookupError):
    """The text of the talk names a chapter, figure or value that is not there."""


@cache
def _outputs(folder: Path, chapter: str) -> tuple[list[str], dict[str, str]]:
    """The figures (SVG) of an executed chapter in their order, and what it glues, by name."""
    path = folder / f"{chapter}.ipynb"
    if not path.exists():
        raise SlideError(f"the chapter {chapter!r} is not executed: run `make book` first")
    figures, values = [], {}
    for cell in nbformat.read(path, 4).cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            if name:
                text = next(text for kind, text in data.items() if kind.endswith("text/plain"))
                values[name] = text.strip("'\"")
            elif "image/svg+xml" in data:
                figures.append(data["image/svg+xml"])
    return figures, values


def _figure(folder: Path, found: re.Match) -> str:
    words, chapter, number = found.groups()
    figures, _ = _outputs(folder, chapter)
    if not 1 <= int(number) <= len(figures):
        raise SlideError(f"{chapter} has {len(figures)} figures: there is no figure {number}")
    content = base64.b64encode(figures[int(number) - 1].encode()).decode()
    return f'<img alt="{escape(words)}" src="data:image/svg+xml;base64,{content}">'


def _value(folder: Path, found: re.Match) -> str:
    chapter, name, form = found.groups()
    _, values = _outputs(folder, chapter)
    if name not in values:
        raise SlideError(f"{chapter} glues no {name!r}; it has {', '.join(sorted(values))}")
    return format(float(values[name]), form) if form else values[name]


def _slide(text: str, folder: Path) -> str:
    shown, _, notes = VALUE.sub(lambda it: _value(folder, it), text).partition("\nNotes:")
    lines = []
    for line in filter(None, map(str.strip, shown.split("\n"))):
        if found := FIGURE.fullmatch(line):
            lines.append(_figure(folder, found))
        elif line.startswith("# "):
            lines.append(f"<h2>{escape(line[2:])}</h2>")
        else:
            lines.append(f"<p>{escape(line)}</p>")
    return f"<section>{''.join(lines)}<aside>{escape(notes.strip())}</aside></section>"


def deck(text: str, folder: Path = EXECUTED) -> str:
    """The talk as one HTML page. Raises `SlideError` naming what is not there."""
    slides = [_slide(part, folder) for part in re.split(r"^---$", text, flags=re.M)]
    title = re.search(r"^# (.+)$", text, re.M)[1]
    frame = Template((TALK / "frame.html").read_text(encoding="utf8"))
    return frame.substitute(title=escape(title), slides="\n".join(slides))


def write(out: Path) -> int:
    """Writes the talk to `out`; returns its number of slides."""
    page = deck((TALK / "slides.md").read_text(encoding="utf8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf8")
    return page.count("<section>")
