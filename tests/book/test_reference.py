"""The pages made from the chapters and the library: reference, doctests, parameters, commands."""

import ast
import doctest
import html
import importlib
import inspect
import json
import re
import shlex
from functools import cache, cached_property
from pathlib import Path
from types import FunctionType, ModuleType

import book_chapters
import book_reference
import book_site
import nbformat
import pytest
from clones import NOTEBOOKS, ROOT, run

from report import commands, parameters, readme

PAGES = ROOT / "book" / "_build" / "html"
PARTS = {"library": "reference", "theory": "reference-theory"}
MODULES = [name for part in PARTS for name in book_reference.modules(part)]

needs_pages = pytest.mark.skipif(
    not (PAGES / "reference.html").exists(), reason="the book has not been built: run `make book`"
)


@cache
def page(name):
    return (PAGES / f"{name}.html").read_text("utf8")


METHODS = (FunctionType, classmethod, staticmethod, property, cached_property)

# ---- the reference -------------------------------------------------------------------------------


def public(module: ModuleType) -> dict[str, object]:
    """What `__all__` lists, without it all functions and classes; of these the module's own."""
    listed = getattr(module, "__all__", None)
    found = {name: getattr(module, name) for name in listed or vars(module)}
    assigned = {
        target.id
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("_")
        and (
            getattr(value, "__module__", None) == module.__name__
            if callable(value)
            else listed and name in assigned
        )
    }


def test_the_reference_has_every_module_once():
    files = [path.relative_to(ROOT) for path in (ROOT / "accel_core").rglob("*.py")]
    names = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files}
    assert len(MODULES) == len(set(MODULES))
    assert set(MODULES) == names - {"accel_core"}
    for part, name in PARTS.items():
        assert f"<!-- modules: {part} -->" in (ROOT / "book" / f"{name}.md").read_text("utf8")


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_says_what_it_is(name):
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    assert module.__doc__
    for item, value in public(module).items():
        if callable(value):
            assert inspect.getdoc(value), f"{name}.{item} has no docstring"
            for method in vars(value) if inspect.isclass(value) else ():
                found = inspect.getattr_static(value, method)
                if not method.startswith("_") and isinstance(found, METHODS):
                    doc = inspect.getdoc(getattr(value, method, found))
                    assert doc, f"{name}.{item}.{method} has no docstring"
        else:
            documented = rf"^#: .+\n(#: .+\n)*{item}\b.* = |^{item}\b.* = .*  #: "
            assert re.search(documented, source, re.M), f"{name}.{item} has no `#:` comment"


@needs_pages
@pytest.mark.parametrize("part", PARTS)
def test_every_public_name_is_on_the_built_page(part):
    ids = set(re.findall(r'id="(accel_core[\w.]*)"', page(PARTS[part])))
    for name in book_reference.modules(part):
        wanted = {f"{name}.{item}" for item in public(importlib.import_module(name))}
        assert wanted <= ids, f"not on the page: {sorted(wanted - ids)}; run `make book`"


def labels(pattern):
    chapters = (ROOT / "notebooks").glob("1[0-9]-*.md")
    return {
        label for path in chapters for label in re.findall(pattern, path.read_text("utf8"), re.M)
    }


STATEMENTS = labels(r"^\((thm-[\w-]+)\)=$")
EQUATIONS = labels(r"^\$\$ \((eq-[\w-]+)\)$")


def named_in_docstrings():
    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for item, value in public(module).items():
            for label in book_reference.LABEL.finditer(inspect.getdoc(value) or ""):
                if callable(value):
                    found.setdefault(label[0], []).append(f"{name}.{item}")
    return found


def test_every_label_in_a_docstring_is_one_of_the_theory_chapters():
    assert len(STATEMENTS) > 15 and len(EQUATIONS) > 40
    for label, places in named_in_docstrings().items():
        assert label in STATEMENTS | EQUATIONS, f"{places} name {label}, which no chapter has"


def test_every_statement_is_implemented_by_a_function_that_names_it():
    assert set(named_in_docstrings()) >= STATEMENTS


@needs_pages
def test_every_label_is_a_link_to_a_place_that_exists():
    links = re.findall(r'href="(executed/1[\w-]+\.html)#((?:thm|equation-eq)-[\w-]+)"', "".join(
        page(name) for name in PARTS.values()
    ))  # fmt: skip
    assert {anchor.removeprefix("equation-") for _, anchor in links} >= set(named_in_docstrings())
    for target, anchor in set(links):
        assert f'id="{anchor}"' in page(target.removesuffix(".html")), f"{target}#{anchor}"


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("mean of |r|^p", r"mean of \|r\|^p"),
        ("W_e, a_ and `load(name)`", r"W\_e, a\_ and \ ``load(name)``\ "),
        ("a\\b", r"a\\b"),
        ("is *balanced*, 2*3", r"is *balanced*, 2\*3"),
        ("Implements eq-drift.", "Implements equation :eq:`eq-drift`."),
        ("``thm-drift``", ":ref:`Drift of one step <thm-drift>`"),
    ],
)
def test_a_docstring_s_plain_text_is_no_markup(line, made):
    assert book_reference.linked(line) == made


@needs_pages
def test_the_site_is_under_50_megabytes():
    size = sum(path.stat().st_size for path in PAGES.rglob("*") if path.is_file())
    assert size < 50e6, f"{size / 1e6:.0f} MB"


def test_only_what_no_page_loads_is_left_out(tmp_path):
    kept = ["_static/mathjax/tex-chtml.js", "_static/mathjax/output/svg.js", "_static/a.js"]
    kept += [f"_static/mathjax/sre/mathmaps/{name}.json" for name in ("base", "en", "nemeth")]
    left = ["_static/mathjax/tex-svg.js", "_static/mathjax/mml-chtml.js", "_static/a.js.map"]
    left += ["_static/mathjax/sre/mathmaps/hi.json"]
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {path.relative_to(tmp_path).as_posix() for path in book_site.superfluous(tmp_path)}
    assert found == set(left)


# ---- examples in docstrings ----------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(module, optionflags=options).failed == 0


# ---- the page on parameters, and each chapter's commands -----------------------------------------


def test_the_page_on_parameters_is_current():
    path = ROOT / "book" / "parameters.md"
    text = path.read_text("utf8")
    made = readme.replaced(text, {"parameters": commands.parameter_page(NOTEBOOKS)})
    assert text == made, "run `make readme`"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameter_but_the_profile_has_a_meaning(notebook):
    found = commands.parameters(notebook)
    assert found[0].name == "profile" and found[0].default == "paper"
    assert all(parameter.comment for parameter in found[1:])


def test_parameters_are_read_from_their_cell_and_nothing_is_executed(tmp_path):
    source = 'profile = "paper"\nrates = [1e-05, 0.5]  # learning rates\nname = "a b"'
    tagged = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_markdown_cell("(label)=\n# Made up\ntext"), tagged]
    cells.append(nbformat.v4.new_code_cell("raise SystemExit"))
    path = tmp_path / "98-made-up.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    assert [(p.name, p.default, p.comment) for p in commands.parameters(path)[1:]] == [
        ("rates", [1e-05, 0.5], "learning rates"), ("name", "a b", ""),
    ]  # fmt: skip
    assert commands.title(path) == "Made up"
    assert commands.command(path, profile="smoke") == (
        "papermill notebooks/98-made-up.ipynb out.ipynb -p profile smoke "
        "-y 'rates: [1.0e-05, 0.5]' -p name 'a b'"
    )
    assert "| `rates` | `[1e-05, 0.5]` | learning rates |" in commands.parameter_page([path])


def test_the_box_stands_at_the_end_and_the_rest_stays():
    source = {"cells": [{"source": ["# Title\n", "text"]}, {"source": "code"}], "metadata": {}}
    made = json.loads(book_chapters.with_box(json.dumps(source), "BOX\n"))
    assert made["cells"][:2] == source["cells"]
    assert made["cells"][2]["source"] == ["BOX\n"]


def boxes(notebook):
    """The links of the box on a chapter's built page, and its commands as they stand there."""
    text = page(f"executed/{notebook.stem}")
    box = re.findall(r"<details[^>]*run-it.*?</details>", text, re.S)[-1]  # after the runs' details
    shown = re.findall(r"<pre>(.*?)</pre>", box, re.S)
    said = [html.unescape(re.sub(r"<[^>]+>", "", command)).strip() for command in shown]
    return re.findall(r'href="([^"]*_downloads[^"]+)"', box), said


@needs_pages
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_chapter_s_page_offers_notebook_text_and_commands(notebook):
    links, said = boxes(notebook)
    assert [Path(link).name for link in links] == [f"{notebook.stem}.ipynb", f"{notebook.stem}.md"]
    for link in links:  # relative, so that they work from a folder without a server
        offered = (PAGES / "executed" / link).resolve()
        same = offered.read_bytes() == (notebook.parent / offered.name).read_bytes()
        assert same, f"{offered.name} has changed: run `make book`"  # a diff would take minutes
    assert said == [commands.command(notebook), commands.command(notebook, profile="smoke")]


@needs_pages
@pytest.mark.parametrize(("chapter_", "which"), [("10-setting-and-warmup", 0), ("33-map", 1)])
def test_the_commands_run_as_they_stand_on_the_page(chapter_, which, tmp_path):
    for path in ROOT.iterdir():
        if path.name not in (".git", "build"):
            (tmp_path / path.name).symlink_to(path)
    command = boxes(ROOT / "notebooks" / f"{chapter_}.ipynb")[1][which]
    done = run(tmp_path, "bash", "-ec", command)
    assert done.returncode == 0, done.said
    executed = nbformat.read(tmp_path / "out.ipynb", 4).metadata.papermill.parameters
    given = {parameter.name for parameter in commands.parameters(ROOT / shlex.split(command)[1])}
    assert set(executed) == given
    assert executed["profile"] == parameters.PROFILES[which]
