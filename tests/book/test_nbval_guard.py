"""nbval as a guard: one changed number in a stored output is found, and its cell is named."""

import configparser
import os
import re

import nbformat
import pytest
from clones import NOTEBOOKS, ROOT, nbval

SANITIZE = ROOT / "tests" / "sanitize.cfg"
CHAPTER = ROOT / "notebooks" / "05-mechanism.ipynb"  # some seconds, outputs of all kinds
NUMBER = re.compile(r"(?:^|(?<=[>\s(\[]))\d+(?:\.\d+)?(?=[<\s,)\]]|$)")


def rules():
    """(pattern, replacement) of every section of the sanitising file, in order."""
    found = configparser.RawConfigParser()
    found.read(SANITIZE, encoding="utf8")
    return [(found[name]["regex"], found[name]["replace"]) for name in found.sections()]


def sanitized(text):
    for pattern, replacement in rules():
        text = re.sub(pattern, replacement, text)
    return text


def texts(cell):
    """(container, key) of every text among the outputs of a cell that nbval compares."""
    for output in cell.get("outputs", ()):
        if output.output_type == "stream" and output.name == "stdout":
            yield output, "text"
        elif "data" in output:
            kinds = output.data if "image/svg+xml" not in output.data else ()
            for kind in kinds:
                if isinstance(output.data[kind], str):
                    yield output.data, kind


def changed(text):
    """The text with the last digit of its first number that is compared made another one."""
    for number in NUMBER.finditer(text):
        digit = str((int(number[0][-1]) + 1) % 10)
        other = f"{text[: number.end() - 1]}{digit}{text[number.end() :]}"
        if sanitized(other) != sanitized(text):
            return other
    return None


def beside_the_stored(notebook):
    """nbval over a notebook, beside the one of its name in notebooks/ as if it were executed."""
    path = os.pathsep.join([str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")])
    return nbval(notebook, "-p", "executed", PYTHONPATH=path, ACCEL_EXECUTED=str(CHAPTER.parent))


@pytest.mark.parametrize("nth", [0, 1])
def test_one_changed_number_is_found_and_its_cell_named(tmp_path, nth):
    """In every cell the first text, and the second, that it shows and that holds a number."""
    book = nbformat.read(CHAPTER, 4)
    code, planted = [cell for cell in book.cells if cell.cell_type == "code"], {}
    for at, cell in enumerate(code):
        if "nbval-ignore-output" not in cell.metadata.get("tags", ()):
            shown = [(box, kind) for box, kind in texts(cell) if changed(box[kind])]
            for box, kind in shown[nth : nth + 1]:
                box[kind], planted[at] = changed(box[kind]), kind
    assert set(planted.values()) == ({"text/plain"} if nth else {"text", "text/html"})
    nbformat.write(book, tmp_path / CHAPTER.name)
    done, failed = beside_the_stored(tmp_path / CHAPTER.name)
    assert failed == set(planted), done.stdout


def test_an_execution_of_other_cells_is_told(tmp_path):
    book = nbformat.read(CHAPTER, 4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    code[1].source += "  # edited"
    nbformat.write(book, tmp_path / CHAPTER.name)
    done, failed = beside_the_stored(tmp_path / CHAPTER.name)
    assert failed == {1} and "execute it anew" in done.stdout


# ---- what is not compared ------------------------------------------------------------------------


def unreasoned(text):
    """Names of the sections of a sanitising file that do not begin with a reason."""
    sections = re.findall(r"^\[(.+)\]\n(.*(?:\n(?!\[).*)*)", text, re.M)
    return [name for name, body in sections if not re.match(r"# \w.{20,}\.\n", body)]


def test_every_line_that_is_not_compared_has_a_reason():
    text = SANITIZE.read_text("utf8")
    assert unreasoned(text) == [] and len(rules()) == text.count("regex: ") == text.count("\n[")
    planted = text.replace("[objects]\n#", "[objects]\nregex: \\d\nreplace: x\n#")
    assert unreasoned(planted) == ["objects"]


@pytest.mark.parametrize("at", range(len(rules())))
def test_every_rule_is_needed_by_some_chapter(at):
    pattern, _ = rules()[at]
    for notebook in NOTEBOOKS:
        for cell in nbformat.read(notebook, 4).cells:
            for output in cell.get("outputs", ()):
                data = output.get("data", {"text": output.get("text", "")})
                if any(re.search(pattern, text) for text in data.values() if type(text) is str):
                    return
    raise AssertionError(f"no stored output matches {pattern!r}: remove its section")


SAID = ["1.71 [1.7, 1.73]", "depth 2", "0.0233 (10%)", "2.5e-11", "1,051 / 2,000", "-0.0167"]


@pytest.mark.parametrize("text", SAID)
def test_what_the_pages_say_is_compared_whole(text):
    assert sanitized(text) == text


def test_only_what_depends_on_data_at_hand_is_ignored():
    """The status says which checks ran; where training needs rows, there may be none."""
    for notebook in NOTEBOOKS:
        cells = [c for c in nbformat.read(notebook, 4).cells if c.cell_type == "code"]
        ignored = [c for c in cells if any("nbval" in tag for tag in c.metadata.get("tags", ()))]
        status = [c for c in ignored if re.search(r"status\(|checked\(", c.source)]
        assert len(status) <= 1, notebook.name
        for cell in ignored:
            assert cell in status or "except DataUnavailable" in cell.source, cell.source
        assert not any("NBVAL_" in cell.source for cell in cells), notebook.name
