"""The book as a PDF: pages are joined in order, with an outline, and links lead within it."""

import pytest
from pypdf import PdfReader

from report import pdf


@pytest.fixture
def site(tmp_path, chromium):
    """Two built pages with links, and what Chromium prints of them."""
    words = {"one": ("two.html", "kept.csv"), "two": ("one.html#there", "https://example.org/")}
    printed = []
    for name, links in words.items():
        anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
        path = tmp_path / f"{name}.html"
        path.write_text(f"<!doctype html><title>{name}</title><h1>Page {name}</h1>{anchors}")
        page = chromium.new_page()
        page.goto(path.as_uri())
        page.pdf(path=tmp_path / f"{name}.pdf", tagged=True, outline=True)
        page.close()
        printed.append(pdf.Printed(path, f"Page {name}", tmp_path / f"{name}.pdf"))
    return printed


def links(reader):
    """(page, number of the page or address that a link leads to)."""
    numbers = {page.indirect_reference.idnum: i for i, page in enumerate(reader.pages)}
    for i, page in enumerate(reader.pages):
        for each in page.get("/Annots", ()):
            note = each.get_object()
            if "/Dest" in note:
                yield i, numbers[note["/Dest"][0].idnum]
            else:
                yield i, note["/A"]["/URI"]


def test_pages_are_joined_with_an_outline_and_links_within(site, tmp_path):
    out = tmp_path / "out" / "book.pdf"
    assert pdf.join(site, out) == 2
    reader = PdfReader(out)
    assert [page.extract_text().split("\n")[0] for page in reader.pages] == ["Page one", "Page two"]
    titles = [entry.title for entry in reader.outline if not isinstance(entry, list)]
    assert titles == ["Page one", "Page two"]
    assert list(links(reader)) == [(0, 1), (1, 0), (1, "https://example.org/")]


def test_a_page_that_is_not_built_is_named(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text("root: intro\nparts:\n- chapters:\n  - file: executed/20-x\n")
    (tmp_path / "intro.html").touch()
    with pytest.raises(FileNotFoundError, match=r"20-x\.html is not built: run `make book`"):
        pdf.pages(toc, tmp_path)


def test_without_chromium_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    with pytest.raises(pdf.NoBrowser, match="install one"):
        pdf.print_book(tmp_path / "_toc.yml", tmp_path, tmp_path / "book.pdf")
