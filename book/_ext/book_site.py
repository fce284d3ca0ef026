"""A Sphinx extension: what Sphinx and the theme should have done otherwise, mended on the pages.

- The scripts of *thebe*, which run code on other hosts: Jupyter Book adds them, twice, even where
  they are switched off, and the second copy is an error in the browser.
- The role `list` of citation lists: what they hold are no list items, so a screen reader
  announces a list without entries.
- A figure that stands bare in its output: in a box of its own, as tables have one, the theme lets
  the keyboard scroll it on a phone. Likewise a table that a page takes over from a chapter.
- A figure that has a layout for phones shows it on one.
- Figures, tables and statements have the number of their chapter in the sidebar. In the text it is
  that of the chapter's file, which stays when the order changes.
- A claim names its chapter by number and title, not by file.
- What no page loads is left out of the site.
"""

import re
import shutil
from html import escape
from pathlib import Path

from book_chapters import PHONE_FIGURE
from docutils import nodes

__all__ = ["renumbered", "setup", "superfluous", "with_phone_figures"]

FIGURE = re.compile(
    r'(<div class="cell_output[^>]*>\n)(<img [^>]*/>|<figure.*?</figure>)', re.DOTALL
)
MARKER = re.compile(re.escape(PHONE_FIGURE).replace(r"\{name\}", '([^"]+)'))
LABEL = re.compile(r"\b(Figure|Table|Statement) (\d\d?)\.(?=\d)")
CHAPTER = re.compile(r'<a href="(\d\d-[\w-]+)\.html">\1</a>')
IMAGES = "_images"


def _without_thebe(scripts: list) -> list:
    return [
        script
        for script in scripts
        if "thebe" not in f"{getattr(script, 'attributes', {}).get('body') or ''}{script}".lower()
    ]


def with_phone_figures(body: str, folder: str) -> str:
    """The page with the image before each marker in a `picture`, whose narrow layout lies in
    `folder` (an address relative to the page)."""
    while found := MARKER.search(body):
        begin = body.rindex("<img ", 0, found.start())
        end = body.index(">", begin) + 1
        narrow = f'<source media="(max-width: 600px)" srcset="{folder}/{found[1]}-phone.svg">'
        body = (
            f"{body[:begin]}<picture>{narrow}{body[begin:end]}</picture>"
            f"{body[end : found.start()]}{body[found.end() :]}"
        )
    return body


def _repair(app, page: str, template: str, context: dict, doctree) -> None:
    context["script_files"] = _without_thebe(context["script_files"])
    if "body" in context:
        body = context["body"].replace('role="list" class="citation-list"', 'class="citation-list"')
        body = body.replace('<div class="cell-output ', '<div class="cell_output ')
        body = CHAPTER.sub(lambda it: _named(app.env, it[1]) or it[0], body)
        body = FIGURE.sub(r'\1<div class="output figure">\2</div>', body)
        context["body"] = with_phone_figures(body, context["pathto"](IMAGES, 1))


def renumbered(text: str, numbers: dict[int, int]) -> str:
    """`Figure 20.1` as `Figure 2.1`, where the chapter of file 20 is the second.

    >>> renumbered("Table 20.1 and Figure 5.2", {20: 2, 5: 1})
    'Table 2.1 and Figure 1.2'
    """
    return LABEL.sub(lambda it: f"{it[1]} {numbers.get(int(it[2]), it[2])}.", text)


def _numbers(env) -> dict[str, int]:
    """Chapter, as its file is called → its number in the sidebar."""
    chapters = {name: sections.get("") for name, sections in env.toc_secnumbers.items()}
    return {
        Path(name).name: number[0]
        for name, number in chapters.items()
        if number and name.startswith("executed/")
    }


def _named(env, chapter: str) -> str | None:
    """The link to a chapter, its number and title; None for one that is not in the book."""
    if number := _numbers(env).get(chapter):
        title = escape(env.titles[f"executed/{chapter}"].astext())
        return f'{number}, <a href="{chapter}.html">{title}</a>'
    return None


def _renumber(app, doctree, page: str) -> None:
    numbers = {int(name[:2]): number for name, number in _numbers(app.env).items()}
    for text in list(doctree.findall(nodes.Text)):
        if (new := renumbered(str(text), numbers)) != text:
            text.parent.replace(text, nodes.Text(new))


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
    (Path(app.outdir) / IMAGES).mkdir(exist_ok=True)
    for folder in ("executed/data", "static"):
        for path in (Path(app.srcdir) / folder).glob("*-phone.svg"):
            shutil.copy(path, Path(app.outdir) / IMAGES)


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-resolved", _renumber)
    app.connect("html-page-context", _repair, priority=900)
    app.connect("build-finished", _finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
