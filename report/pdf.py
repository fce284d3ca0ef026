"""The whole book as one PDF: Chromium prints every page, in the order of the table of contents.

They are joined under an outline, and links between pages lead to pages of the PDF.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["NoBrowser", "Printed", "join", "pages", "print_book"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu"]
MARGIN = dict.fromkeys(("top", "bottom", "left", "right"), "16mm")
FOOT = (
    '<div style="font-size:8px;width:100%;text-align:center"><span class="title"></span>, '
    '<span class="pageNumber"></span> / <span class="totalPages"></span></div>'
)
# Each claim's evidence, each chapter's verdicts; code, run details and commands stay folded.
FOLDED = "details[data-outcome], details.verdicts"
UNFOLD = f"document.querySelectorAll('{FOLDED}').forEach(it => {{ it.open = true }})"


class NoBrowser(RuntimeError):
    """There is no Chromium on this machine."""


class Printed(NamedTuple):
    """A page of the book on paper: its file, its title, its PDF."""

    html: Path
    title: str
    pdf: Path


def pages(toc: Path, html: Path) -> list[Path]:
    """The built pages in the order of `_toc.yml`. Raises `FileNotFoundError` naming one that is not
    built."""
    import yaml

    content = yaml.safe_load(toc.read_text(encoding="utf8"))
    names = [content["root"]]
    names += [each["file"] for part in content["parts"] for each in part["chapters"]]
    found = [html / f"{name}.html" for name in names]
    for path in found:
        if not path.exists():
            raise FileNotFoundError(f"{path} is not built: run `make book` first")
    return found


def print_book(toc: Path, html: Path, out: Path) -> int:
    """Writes the PDF to `out`; returns its number of pages. Raises `NoBrowser`."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise NoBrowser(
            f"the PDF is printed by Chromium, and none of {', '.join(BROWSERS)} is to be found: "
            "install one (Debian: apt-get install chromium)"
        )
    parts = out.parent / f"{out.stem}-pages"
    parts.mkdir(parents=True, exist_ok=True)
    printed = []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        tab = running.new_page()
        for number, path in enumerate(pages(toc, html)):
            tab.goto(path.as_uri(), wait_until="networkidle")
            tab.evaluate("async () => { await window.MathJax?.startup?.promise }")
            tab.evaluate(UNFOLD)
            pdf = parts / f"{number:02}.pdf"
            tab.pdf(path=pdf, format="A4", tagged=True, outline=True, print_background=True,
                    display_header_footer=True, header_template="<span></span>",
                    footer_template=FOOT,
                    margin=MARGIN)  # fmt: skip
            title = tab.locator("h1").first.inner_text().removesuffix("#").strip()
            printed.append(Printed(path, title, pdf))
        running.close()
    count = join(printed, out)
    shutil.rmtree(parts)
    return count


def join(printed: Sequence[Printed], out: Path) -> int:
    """Joins printed pages under an outline of their titles, each with its own headings below it.

    A link to another page of the book leads to where that begins; one to a file beside the pages,
    which the PDF's reader does not have, is dropped. Returns the number of pages.
    """
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import ArrayObject, NameObject

    writer, begins = PdfWriter(), {}
    for page in printed:
        begins[page.html.as_uri()] = len(writer.pages)
        writer.append(PdfReader(page.pdf), outline_item=page.title)
    for sheet in writer.pages:
        kept = ArrayObject()
        for reference in sheet.get("/Annots") or ():
            note = reference.get_object()
            address = str((note.get("/A") or {}).get("/URI", ""))
            target = begins.get(address.partition("#")[0])
            if target is not None:
                del note["/A"]
                place = [writer.pages[target].indirect_reference, NameObject("/Fit")]
                note[NameObject("/Dest")] = ArrayObject(place)
            elif address.startswith("file:"):
                continue
            kept.append(reference)
        sheet[NameObject("/Annots")] = kept
    out.parent.mkdir(parents=True, exist_ok=True)
    writer.write(out)
    return len(writer.pages)
