"""A Sphinx extension: takes from the pages what Sphinx and the theme should not have put there.

- The scripts of *thebe*, which run code on other hosts: Jupyter Book adds them, twice, even where
  they are switched off, and the second copy is an error in the browser.
- The role `list` of citation lists: what they hold are no list items, so a screen reader
  announces a list without entries.
"""

__all__ = ["setup"]


def _without_thebe(scripts: list) -> list:
    return [
        script
        for script in scripts
        if "thebe" not in f"{getattr(script, 'attributes', {}).get('body') or ''}{script}".lower()
    ]


def _repair(app, page: str, template: str, context: dict, doctree) -> None:
    context["script_files"] = _without_thebe(context["script_files"])
    if "body" in context:
        context["body"] = context["body"].replace(
            'role="list" class="citation-list"', 'class="citation-list"'
        )


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", _repair, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
