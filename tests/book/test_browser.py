"""The built book in a browser, from files and from a server; for each check, a page that fails."""

import os
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import browser
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("BOOK_HTML", ROOT / "book" / "_build" / "html"))  # another build


def contents():
    """The book's pages in the order of the table of contents, without their endings."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    return [toc["root"], *(page["file"] for part in toc["parts"] for page in part["chapters"])]


def source(page):
    """The text of a page as it was written."""
    return (ROOT / f"{page.replace('executed/', 'notebooks/')}.md", ROOT / "book" / f"{page}.md")


def has_mathematics(page):
    text = next(path.read_text("utf8") for path in source(page) if path.exists())
    return bool(
        re.search(r"\$[^$\s][^$]*\$", re.sub(r"```.*?^```|`[^`]*`", "", text, flags=re.S | re.M))
    )


def built(page):
    path = HTML / f"{page}.html"
    if not HTML.is_dir():
        pytest.skip("the book is not built: run `make book`")
    assert path.is_file(), f"{path} is missing: run `make book`"
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def served():
    """The address of a server of the built book."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


# ---- every page ----------------------------------------------------------------------------------


CHAPTERS = [page for page in contents() if page.startswith("executed/")]
LOOKED_UP = {"executed/40-claims"}
#: Pages that have all kinds of elements: their colours are looked at in the dark theme too.
KINDS = {contents()[0], "play", "reference-theory", "parameters", *LOOKED_UP, *CHAPTERS[:2]}


@pytest.mark.parametrize("page", [*contents(), "genindex", "search"])
def test_page_from_a_file(chromium, page):
    path = built(page)
    with browser.visit(chromium, path.as_uri(), f"{HTML.as_uri()}/") as here:
        findings = browser.mathematics(here, page in contents() and has_mathematics(page))
        if page in CHAPTERS:
            findings += misnumbered(here)
        if page in CHAPTERS and page not in LOOKED_UP:
            findings += browser.first_screen(here)
        for check in (browser.images, browser.overflow, browser.links):
            findings += check(here)
        for theme, width in (("light", 1440), ("dark", 360)):
            findings += browser.accessibility(here, theme, width, page in KINDS)
            assert here.page.get_attribute("html", "data-theme") == theme
        findings += browser.console(here) + browser.outside(here)
    assert not findings, "\n".join(findings)


def misnumbered(here):
    """Figures and tables that lack the number which the title has in the sidebar."""
    title = here.page.inner_text("article h1")
    entry = here.page.inner_text("nav.bd-links li.current > a")
    captions = here.page.eval_on_selector_all(
        "article p > strong:first-child", "all => all.map(it => it.innerText)"
    )
    number = re.match(r"(\d+)\.", title)[1]
    assert entry.startswith(f"{number}. ")
    numbers = re.findall(r"(?:Figure|Table) (\d+)\.\d", " ".join(captions))
    return [] if set(numbers) == {number} else [f"numbers {numbers} in chapter {number}"]


@pytest.mark.parametrize("page", [contents()[0], CHAPTERS[0], "parameters"])
def test_page_from_a_server(chromium, served, page):
    built(page)
    with browser.visit(chromium, f"{served}{page}.html", served) as here:
        assert browser.console(here) + browser.outside(here) + browser.images(here) == []
        assert here.requests[0].startswith(served)


# ---- what a reader meets -------------------------------------------------------------------------


def test_no_experiment_and_no_replication_grows_longer(chromium):
    """45 screens for the eleven of them."""
    lengths = {}
    for page in CHAPTERS:
        if "20" <= page.removeprefix("executed/")[:2] <= "33":
            with browser.visit(chromium, built(page).as_uri(), f"{HTML.as_uri()}/") as here:
                lengths[page] = round(browser.screens(here), 1)
    assert max(lengths.values()) <= 4.6 and sum(lengths.values()) <= 45.2, lengths


def test_the_folder_leads_to_the_landing_page(chromium, served):
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(served, wait_until="commit")
        page.wait_for_url(f"{served}{contents()[0]}.html")


# ---- ways through the book -----------------------------------------------------------------------


@pytest.mark.parametrize(("link", "step"), [("right-next", 1), ("left-prev", -1)])
def test_previous_and_next_walk_the_whole_book(link, step):
    pages = contents()[::step]
    for page, following in pairwise([*pages, None]):
        found = re.findall(rf'class="{link}"\s+href="([^"]+)"', built(page).read_text("utf8"))
        there = [(built(page).parent / each).resolve() for each in found]
        assert there == ([built(following).resolve()] if following else []), page


def statements():
    """(page, name) of the first theorem, claim or statement of each theory chapter."""
    for page in CHAPTERS:
        text = (ROOT / f"{page.replace('executed/', 'notebooks/')}.md").read_text("utf8")
        for name in re.findall(r"^:::\{admonition\} (.*[(,].*)$", text, re.M)[:1]:
            yield pytest.param(page, name, id=name)


@pytest.mark.parametrize(("page", "name"), list(statements()))
def test_search_finds_a_statement_by_its_name(chromium, served, page, name):
    built(page)
    query = "+".join(re.findall(r"[a-zA-Z-]{3,}", name))
    with browser.visit(chromium, f"{served}search.html?q={query}", served) as here:
        here.page.wait_for_selector("#search-results li a")
        found = here.page.eval_on_selector_all(
            "#search-results li a", "all => all.map(it => it.href)"
        )
        assert any(url.split("?")[0] == f"{served}{page}.html" for url in found), found
        assert browser.console(here) == []


def test_search_works_from_a_file(chromium):
    # Sphinx asks for the pages' first lines too, which a browser refuses to files: titles alone
    address = f"{built('search').as_uri()}?q=preconditioner"
    with browser.visit(chromium, address, HTML.as_uri()) as here:
        here.page.wait_for_selector("#search-results li a[href*='12-preconditioner']")
        assert browser.outside(here) == []


# ---- planted faults: every check fails on a page that has what it looks for ----------------------

WHOLE = '<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>{}</main></html>'
FAULTS = {
    "console": "<script>undefined_name()</script>",
    "console message": "<script>console.error('wrong')</script>",
    "request": '<script src="https://example.org/x.js"></script>',
    "request to another folder": '<img alt="" src="../elsewhere.svg">',
    "request announced": '<link rel="preconnect" href="https://example.org">',
    "mathematics": r'<p><span class="math">\(x\)</span></p>',
    "mathematics in dollars": "<p>The sum is $a + b$ here.</p>",
    "mathematics with an error": "<mjx-container><mjx-merror>x</mjx-merror></mjx-container>",
    "image": '<img src="missing.png" alt="missing">',
    "overflow": '<div style="width: 400px">wide</div>',
    "overflow hidden": '<style>body { overflow-x: hidden }</style><p><b style="display: '
    'inline-block; width: 2000px">wide</b></p>',
    "link": '<a href="missing.html">there</a>',
    "anchor": '<a href="#missing">there</a>',
    "color-contrast (dark,": "<style>@media (prefers-color-scheme: dark) { p { background: #000; "
    "color: #222 } }</style><p>dark on dark</p>",
}


def all_findings(chromium, path, expected=False, themes=("light", "dark")):
    with browser.visit(chromium, path.as_uri(), f"{path.parent.as_uri()}/") as here:
        here.page.wait_for_timeout(50)
        findings = browser.mathematics(here, expected)
        for check in (browser.images, browser.overflow, browser.links):
            findings += check(here)
        for theme in themes:
            findings += browser.accessibility(here, theme, 1440)
        return findings + browser.console(here) + browser.outside(here)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(chromium, tmp_path, fault):
    page = tmp_path / "page.html"
    page.write_text(WHOLE.format(FAULTS[fault]), encoding="utf8")
    kind, themes = (fault, ["dark"]) if "(" in fault else (fault.split()[0], [])
    assert any(it.startswith(kind) for it in all_findings(chromium, page, themes=themes))


def test_a_figure_below_the_first_screen_is_found(chromium, tmp_path):
    page = tmp_path / "page.html"
    svg = '<svg class="figure" width="100" height="400"></svg>'
    body = f'<article><p style="margin-top: 600px">{"word " * 30}</p>{svg}</article>'
    page.write_text(WHOLE.format(body), encoding="utf8")
    with browser.visit(chromium, page.as_uri(), f"{tmp_path.as_uri()}/") as here:
        (found,) = browser.first_screen(here)
    assert found.startswith("first screen: the first figure ends at 1")


def test_a_page_without_faults_has_no_findings(chromium, tmp_path):
    page = tmp_path / "page.html"
    wide = '<div style="overflow-x: auto" tabindex="0"><div style="width: 3000px">wide</div></div>'
    page.write_text(WHOLE.format(f'<a id="here" href="#here">x</a>{wide}'), encoding="utf8")
    assert all_findings(chromium, page) == []
    assert all_findings(chromium, page, expected=True) == [
        "mathematics: the source has mathematics and the page has none"
    ]
