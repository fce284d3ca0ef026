"""nbval as a guard: one changed number in a stored output is found, and its cell is named."""

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SANITIZE = ROOT / "tests" / "sanitize.cfg"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
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


def nbval(notebook, *options):
    """nbval over a notebook, executed anew or, with `-p executed`, beside the one in notebooks/."""
    pytest = [ROOT / ".venv" / "bin" / "pytest", "-q", "-p", "no:cacheprovider", *options]
    pytest += ["--nbval", notebook, "--nbval-sanitize-with", SANITIZE]
    pytest += ["-c", ROOT / "pyproject.toml", "--rootdir", notebook.parent]
    support = os.pathsep.join([str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": support, "ACCEL_EXECUTED": str(CHAPTER.parent)}
    done = subprocess.run(pytest, cwd=ROOT, env=env, capture_output=True, text=True)
    failed = re.findall(r"^FAILED \S+::Cell (\d+)|^\S*:?:?Cell (\d+)$", done.stdout, re.M)
    return done, {int(a or b) for a, b in failed}


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copy(CHAPTER, tmp_path))


def test_the_stored_outputs_of_the_copy_pass(copy):
    done, failed = nbval(copy)
    assert done.returncode == 0 and not failed, done.stdout


def cells_with_numbers():
    code = [cell for cell in nbformat.read(CHAPTER, 4).cells if cell.cell_type == "code"]
    for at, cell in enumerate(code):
        if "nbval-ignore-output" in cell.metadata.get("tags", ()):
            continue
        kinds = {kind: None for box, kind in texts(cell) if changed(box[kind])}
        yield from (pytest.param(at, kind, id=f"cell {at}, {kind}") for kind in kinds)


@pytest.mark.parametrize(("at", "kind"), list(cells_with_numbers()))
def test_one_changed_number_is_found_and_its_cell_named(copy, at, kind):
    book = nbformat.read(copy, 4)
    cell = [cell for cell in book.cells if cell.cell_type == "code"][at]
    box = next(box for box, key in texts(cell) if key == kind and changed(box[key]))
    box[kind] = changed(box[kind])
    nbformat.write(book, copy)
    done, failed = nbval(copy, "-p", "executed")
    assert done.returncode != 0
    assert failed == {at}, done.stdout


def test_an_execution_of_other_cells_is_told(copy):
    book = nbformat.read(copy, 4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    code[1].source += "  # edited"
    nbformat.write(book, copy)
    done, failed = nbval(copy, "-p", "executed")
    assert failed == {1} and "execute it anew" in done.stdout


def test_numbers_of_several_kinds_of_output_were_tried():
    kinds = {parameter.values[1] for parameter in cells_with_numbers()}
    assert {"text", "text/html"} <= kinds


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


@pytest.mark.parametrize(
    "text",
    [
        "1.71 [1.7, 1.73]",
        "depth 2",
        "0.0233 (10%)",
        "2.5e-11",
        "1,051 / 2,000",
        "0 of 5",
        "-0.0167",
    ],
)
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
