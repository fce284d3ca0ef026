"""A Sphinx extension: takes from the pages what Sphinx and the theme should not have put there.

- The scripts of *thebe*, which run code on other hosts: Jupyter Book adds them, twice, even where
  they are switched off, and the second copy is an error in the browser.
- The role `list` of citation lists: what they hold are no list items, so a screen reader
  announces a list without entries.
- A figure that stands bare in its output: in a box of its own, as tables have one, the theme lets
  the keyboard scroll it on a phone. Likewise a table that a page takes over from a chapter.
"""

import re

__all__ = ["setup"]

FIGURE = re.compile(
    r'(<div class="cell_output[^>]*>\n)(<img [^>]*/>|<figure.*?</figure>)', re.DOTALL
)


def _without_thebe(scripts: list) -> list:
    return [
        script
        for script in scripts
        if "thebe" not in f"{getattr(script, 'attributes', {}).get('body') or ''}{script}".lower()
    ]


def _repair(app, page: str, template: str, context: dict, doctree) -> None:
    context["script_files"] = _without_thebe(context["script_files"])
    if "body" in context:
        body = context["body"].replace('role="list" class="citation-list"', 'class="citation-list"')
        body = body.replace('<div class="cell-output ', '<div class="cell_output ')
        context["body"] = FIGURE.sub(r'\1<div class="output figure">\2</div>', body)


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", _repair, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
