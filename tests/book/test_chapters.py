"""Each chapter as its reader meets it: guarded words, open code, few tables, no prose by code."""

import ast
import re

import nbformat
import pytest
from clones import NOTEBOOKS, ROOT

from report.prose import NoLongerHoldsError, guards

REFERENCE = {"40-claims"}  # a list to look things up in

every_chapter = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
telling = pytest.mark.parametrize(
    "notebook", [it for it in NOTEBOOKS if it.stem not in REFERENCE], ids=lambda path: path.stem
)

HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
DOES = re.compile(
    r"\b(train|tune|plot|scatter|draw\w*|lineplot|sns\.\w+|theory\.\w+|figures\.\w+)\("
)


def cells(notebook, kind):
    return [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == kind]


def tags(cell):
    return set(cell.metadata.get("tags", ()))


def plain(text):
    """A text as it is read: no mark-up around words, one space between them."""
    return re.sub(r"\s+", " ", re.sub(r"[*`]", "", text))


# ---- guarded words -------------------------------------------------------------------------------


def guarded(notebook):
    """The phrases that the chapter guards with `holds`."""
    for cell in cells(notebook, "code"):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "holds":
                yield ast.literal_eval(node.args[0])


@every_chapter
def test_every_guarded_phrase_stands_in_the_text(notebook):
    text = plain("\n".join(cell.source for cell in cells(notebook, "markdown")))
    lost = [phrase for phrase in guarded(notebook) if plain(phrase) not in text]
    assert not lost, f"guarded, but not in the text: {lost}"


def test_a_false_guard_names_its_phrase_and_is_off_in_smoke():
    with pytest.raises(NoLongerHoldsError, match="faster from every start"):
        guards("paper")("faster from every start", False)
    guards("smoke")("faster from every start", False)


# ---- code, open ----------------------------------------------------------------------------------


@telling
def test_a_chapter_shows_code_that_trains_tunes_or_draws(notebook):
    code = [cell for cell in cells(notebook, "code") if "parameters" not in tags(cell)]
    shown = [cell for cell in code if not tags(cell) & HIDDEN]
    does = [cell for cell in shown if DOES.search(cell.source)]
    assert len(does) >= 2, f"{len(does)} visible cells train, tune or draw"
    assert len(code) - len(shown) <= len(code) / 2, (
        f"{len(code) - len(shown)} of {len(code)} hidden"
    )


def sizes(notebook):
    """(rows, columns) of every table of the page: of outputs, and of the text."""
    for cell in cells(notebook, "code"):
        for output in cell.get("outputs", ()):
            html = "".join(output.get("data", {}).get("text/html", ""))
            for table in re.findall(r"<table.*?</table>", html, re.S):
                rows = re.findall(r"<tr.*?</tr>", table, re.S)
                body = [row for row in rows if "<td" in row]
                yield len(body), max(len(re.findall(r"<t[dh]", row)) for row in rows)
    for cell in cells(notebook, "markdown"):
        for table in re.findall(r"(?:^\|.*\n?){3,}", cell.source, re.M):
            lines = table.strip().split("\n")
            yield len(lines) - 2, lines[0].count("|") - 1


@telling
def test_two_tables_at_most_none_large(notebook):
    found = list(sizes(notebook))
    assert len(found) <= 2, f"{len(found)} tables"
    assert all(rows <= 8 and columns <= 6 for rows, columns in found), found


# ---- prose stands in the chapters ----------------------------------------------------------------

# What may compose text: errors, logs and the command line; generated reference; claims, whose
# sentences are data.
MAY = (
    *("report/parameters.py", "report/row.py", "report/disk.py"),  # errors
    *("report/__main__.py", "report/estimates.py", "report/recheck.py"),  # the command line
    *("report/commands.py", "report/readme.py"),  # generated
    "report/claims/",
)
WORDS = 8


def said(function):
    """The longest text in what the function returns, in words."""
    longest = 0
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            for text in ast.walk(node.value):
                if isinstance(text, ast.JoinedStr | ast.Constant):
                    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                    told = " ".join(str(getattr(part, "value", "")) for part in parts
                                    if isinstance(part, ast.Constant))  # fmt: skip
                    words = re.findall(r"[A-Za-zα-ω]{2,}", re.sub(r"<[^>]+>", " ", told))
                    longest = max(longest, len(words))
    return longest


def test_no_function_returns_prose():
    found = []
    for path in [*ROOT.glob("report/**/*.py"), *ROOT.glob("accel_core/**/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(MAY):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.FunctionDef) and said(node) >= WORDS:
                found.append(f"{name}:{node.lineno} {node.name}")
    assert not found, f"sentences belong into the chapters: {found}"
