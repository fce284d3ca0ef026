"""What must hold of a page in a browser: each check returns what it finds, or nothing."""

import re
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, TimeoutError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (1440, 768, 360)
AXE = {"resultTypes": ["violations"], "preload": False}  # it would read style sheets by request
# What another theme or width can change; the rest is the same page.
WIDTH, THEME = ["scrollable-region-focusable"], ["link-in-text-block", "color-contrast"]
REACHABLE = """() => [...document.querySelectorAll("pre")].every(
  it => it.scrollWidth <= it.clientWidth || it.tabIndex === 0)"""
FLAGS = [
    "--no-sandbox",  # root, as in containers, has none; the pages are our own
    "--disable-gpu",
    "--no-proxy-server",
    # the network is blocked: no name has an address, and the own server has a number
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def chromium() -> str | None:
    """The path of an installed Chromium."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Visit:
    """An open page, what it has reported, and the address that all its requests must begin with."""

    page: Page
    inside: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def visit(browser: Browser, address: str, inside: str, **options):
    """Opens the page and waits until its mathematics is typeset."""
    options = {"viewport": {"width": WIDTHS[0], "height": 900}} | options
    with browser.new_context(**options) as context:
        page = context.new_page()
        here = Visit(page, inside)
        page.on("console", lambda it: it.type == "error" and here.errors.append(it.text))
        page.on("pageerror", lambda it: here.errors.append(str(it)))
        page.on("request", lambda it: here.requests.append(it.url))
        page.on("websocket", lambda it: here.requests.append(it.url))
        page.goto(address, wait_until="load")
        page.evaluate("window.MathJax?.startup?.promise")
        yield here


def console(here: Visit) -> list[str]:
    """Errors that the browser's console shows."""
    return [f"console: {text}" for text in here.errors]


def outside(here: Visit) -> list[str]:
    """Requests, and announcements of them, that leave the page's own folder."""
    hints = here.page.evaluate(
        """() => [...document.querySelectorAll("link[rel~=preconnect], link[rel~=dns-prefetch]")]
                 .map(it => it.href)"""
    )
    own = (here.inside, "data:", "blob:")
    return [f"request: {url}" for url in here.requests + hints if not url.startswith(own)]


def mathematics(here: Visit, expected: bool) -> list[str]:
    """TeX that is not typeset, or wrongly; `expected`: whether the page's source has any."""
    found = here.page.evaluate(
        r"""() => {
          const untouched = "pre, code, script, style, textarea, mjx-container";
          const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          const raw = [];
          while (texts.nextNode()) {
            const tex = /\\[([]|\\(begin|frac|eta|ell|mathrm)\b|\$[^$\s][^$]*\$/;
            const it = texts.currentNode;
            if (tex.test(it.data) && !it.parentElement.closest(untouched)) raw.push(it.data);
          }
          const bare = [...document.querySelectorAll(".math")]
            .filter(it => !it.querySelector("mjx-container")).map(it => it.textContent);
          const wrong = [...document.querySelectorAll("mjx-merror, [data-mjx-error]")]
            .map(it => it.textContent);
          return [...raw, ...bare, ...wrong];
        }"""
    )
    if expected and not here.page.query_selector("mjx-container"):
        found.append("the source has mathematics and the page has none")
    return [f"mathematics: {text[:80]}" for text in found]


def images(here: Visit) -> list[str]:
    """Images that did not load."""
    broken = here.page.evaluate(
        """() => [...document.images].filter(it => !it.complete || it.naturalWidth === 0)
                 .map(it => it.currentSrc || it.src)"""
    )
    return [f"image: {url}" for url in broken]


def overflow(here: Visit) -> list[str]:
    """What is wider than the window at any of the widths, and cannot be scrolled to by itself."""
    found = []
    for width in WIDTHS:
        here.page.set_viewport_size({"width": width, "height": 900})
        wide, culprits = here.page.evaluate(
            """() => {
              const scrolls = it => it && it !== document.body && (scrolls(it.parentElement)
                || ["auto", "scroll"].includes(getComputedStyle(it).overflowX));
              const part = document.querySelector("article") ?? document.body;
              const beyond = [...part.querySelectorAll("*")].filter(it =>
                it.getBoundingClientRect().right > innerWidth + 1 && it.checkVisibility()
                && !it.closest("svg, mjx-assistive-mml") && !scrolls(it.parentElement));
              const root = document.documentElement;
              return [Math.max(root.scrollWidth, document.body.scrollWidth) > innerWidth,
                      beyond.map(it => it.outerHTML.slice(0, 80))];
            }"""
        )
        if wide or culprits:
            found.append(f"overflow at {width}: {culprits[:2]}")
    here.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    return found


def first_screen(here: Visit) -> list[str]:
    """What a reader misses before scrolling: an answer below the title, and a whole figure."""
    text, bottom = here.page.evaluate(
        """() => {
          const part = document.querySelector("article");
          const figure = part.querySelector("img, svg.figure, canvas");
          const above = [...part.querySelectorAll("p")].filter(it => figure && it.checkVisibility()
            && it.compareDocumentPosition(figure) & Node.DOCUMENT_POSITION_FOLLOWING);
          return [above.map(it => it.textContent).join(" "),
                  figure ? figure.getBoundingClientRect().bottom : Infinity];
        }"""
    )
    found = [] if len(text.split()) >= 20 else ["first screen: no answer above the first figure"]
    if bottom > here.page.viewport_size["height"]:
        found.append(f"first screen: the first figure ends at {bottom:.0f} px")
    return found


def screens(here: Visit) -> float:
    """The page's length in screens."""
    height = here.page.evaluate("document.querySelector('article').scrollHeight")
    return height / here.page.viewport_size["height"]


def links(here: Visit) -> list[str]:
    """Links into the folder whose file, or whose anchor in the file, is not there."""
    found = []
    for address in here.page.evaluate(
        "[...document.querySelectorAll('a[href]')].map(it => it.href)"
    ):
        if address.startswith(here.inside):
            path = Path(unquote(urlsplit(address).path))
            anchor = unquote(urlsplit(address).fragment)
            if not path.is_file():
                found.append(f"link: {address}")
            elif anchor and anchor not in anchors(path):
                found.append(f"anchor: {address}")
    return found


@cache
def anchors(path: Path) -> set[str]:
    """The names to which a page's anchors can lead."""
    return set(re.findall(r'\b(?:id|name)="([^"]+)"', path.read_text(encoding="utf8")))


def accessibility(here: Visit, theme: str, width: int, colours: bool = True) -> list[str]:
    """What axe-core finds serious or critical, in the light or the dark theme; in the dark one only
    what width or, with `colours`, theme change."""
    if here.page.viewport_size["width"] != width:
        here.page.set_viewport_size({"width": width, "height": 900})
        here.page.wait_for_timeout(350)  # the theme makes what scrolls reachable after 300 ms,
        with suppress(TimeoutError):  # or later on a busy machine; whether it did is axe's to say
            here.page.wait_for_function(REACHABLE, timeout=10_000)
    here.page.emulate_media(color_scheme=theme)
    here.page.add_style_tag(content="* { transition: none !important }")  # half-way colours
    options = AXE | ({"runOnly": WIDTH + THEME * colours} if theme == "dark" else {})
    found = []
    for rule in Axe().run(here.page, options=options).response["violations"]:
        for node in rule["nodes"] if rule["impact"] in ("serious", "critical") else ():
            target = " ".join(map(str, node["target"]))
            found.append(f"{rule['id']} ({theme}, {width}): {target} {node['html'][:100]}")
    return found
