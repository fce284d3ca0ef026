"""Every chapter: its pair in step, its form, its smoke execution, its guard, its stored outputs."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import jupytext
import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from report import parameters

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
BIN = ROOT / ".venv" / "bin"

every_chapter = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def run(*command, at=ROOT):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=at, env=env, capture_output=True, text=True)
    done.said = (done.stdout + done.stderr).strip()
    return done


def papermill(notebook, out, *parameters, at=ROOT):
    command = [BIN / "papermill", "--no-progress-bar", notebook, out, *parameters]
    done = run(*command, at=at)
    # two kernels that start at once may have chosen one port
    return run(*command, at=at) if "Kernel died before replying" in done.said else done


def code_cells(notebook):
    return [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]


# ---- the pair ------------------------------------------------------------------------------------


def test_every_chapter_is_a_pair():
    texts = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.md"))
    assert [path.stem for path in texts] == [path.stem for path in NOTEBOOKS]


def changed_by_sync(notebook, newer, tmp_path):
    """Names of the files that `jupytext --sync` changes, where the `newer` of the two counts."""
    for name in ("jupytext.toml", f"{notebook.stem}.md", f"{notebook.stem}.ipynb"):
        shutil.copy(notebook.parent / name, tmp_path / name)
        os.utime(tmp_path / name, (0, 1000 if name.endswith(newer) else 0))
    text, book = (tmp_path / f"{notebook.stem}{end}" for end in (".md", ".ipynb"))
    before = text.read_text("utf8"), inputs(book)
    done = run(BIN / "jupytext", "--sync", book, at=tmp_path)
    assert done.returncode == 0, done.said
    after = text.read_text("utf8"), inputs(book)
    return [path.name for path, a, b in zip((text, book), before, after, strict=True) if a != b]


def inputs(path):
    book = nbformat.read(path, 4)
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in book.cells]


@every_chapter
@pytest.mark.parametrize("newer", [".md", ".ipynb"])
def test_sync_leaves_nothing_to_change(notebook, newer, tmp_path):
    assert changed_by_sync(notebook, newer, tmp_path) == [], "run `jupytext --sync` and commit both"


def test_a_pair_out_of_step_is_found(tiny, tmp_path):
    text = tiny.with_suffix(".md")
    text.write_text(text.read_text("utf8").replace("p = 4", "p = 6"), "utf8")
    into = tmp_path / "into"
    into.mkdir()
    assert changed_by_sync(tiny, ".md", into) == [tiny.name]
    assert changed_by_sync(tiny, ".ipynb", into) == [text.name]


# ---- the form ------------------------------------------------------------------------------------


@every_chapter
def test_form(notebook):
    check_form(notebook)


def test_form_of_the_template(tiny):
    check_form(tiny)


def check_form(notebook):
    """Parameters first, `paper` their default, all of them guarded next; no cell over 15 lines
    that a reader sees."""
    parameters, guard, *_ = code_cells(notebook)
    assert "parameters" in parameters.metadata.get("tags", ())
    declared = {
        target.id: node.value
        for node in ast.parse(parameters.source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }
    assert ast.literal_eval(declared["profile"]) == "paper"
    (call,) = [
        node
        for node in ast.walk(ast.parse(guard.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("check_parameters")
    ]
    assert {keyword.arg for keyword in call.keywords} == set(declared)
    for cell in code_cells(notebook):
        if not {"remove-cell", "remove-input", "hide-input"} & set(cell.metadata.get("tags", ())):
            assert len(cell.source.splitlines()) <= 15, cell.source


def test_no_function_stands_in_two_chapters():
    found = [
        (name, notebook.stem)
        for notebook in NOTEBOOKS
        for cell in code_cells(notebook)
        for name in re.findall(r"^def (\w+)", cell.source, re.MULTILINE)
    ]
    names = [name for name, _ in found]
    assert {pair for pair in found if names.count(pair[0]) > 1} == set(), "move it to accel_core"


# ---- the execution -------------------------------------------------------------------------------


@every_chapter
def test_smoke(notebook, tmp_path):
    done = papermill(notebook, tmp_path / "out.ipynb", "-p", "profile", "smoke")
    if done.returncode and "DataUnavailable" in done.said:
        pytest.skip(f"{notebook.stem}: {done.said.splitlines()[-1]}")
    assert done.returncode == 0, done.said


wrong_parameters = pytest.mark.parametrize(
    ("parameter", "said"),
    [
        (("profil", "smoke"), "did you mean -p profile smoke?"),
        (("profile", "papre"), "did you mean -p profile paper?"),
    ],
)


@every_chapter
@wrong_parameters
def test_every_chapter_refuses_wrong_parameters(notebook, parameter, said):
    """As papermill would set them, in the cells before which nothing else is executed."""
    given = parameterize_notebook(load_notebook_node(str(notebook)), dict([parameter]))
    begin = [cell.source for cell in given.cells if cell.cell_type == "code"][:3]
    with pytest.raises(parameters.ParameterError, match=re.escape(said)):
        exec("\n".join(begin), {"In": ["", *begin]})


@wrong_parameters
def test_papermill_ends_with_the_sentence(parameter, said, tmp_path):
    done = papermill(NOTEBOOKS[0], tmp_path / "out.ipynb", "-p", *parameter)
    assert done.returncode != 0
    assert done.said.splitlines()[-1].endswith(said)


# ---- the guard -----------------------------------------------------------------------------------


def template():
    """The chapter that notebooks/README.md shows as the one to begin with."""
    text = (ROOT / "notebooks" / "README.md").read_text("utf8")
    return re.search(r"^````markdown\n(.*?)^````$", text, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def tiny(tmp_path):
    """The template of a chapter, paired, in a folder of its own."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks" / "jupytext.toml", folder)
    (folder / "98-tiny.md").write_text(template(), "utf8")
    assert run(BIN / "jupytext", "--sync", "98-tiny.md", at=folder).returncode == 0
    return folder / "98-tiny.ipynb"


def test_good_parameters_pass(tiny, tmp_path):
    good = ["-p", "profile", "smoke", "-p", "p", "2.5", "-y", "rates: [1.0e-3]"]
    assert papermill(tiny, tmp_path / "out.ipynb", *good).returncode == 0


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            ("-p", "profil", "smoke"),
            "this chapter has no parameter 'profil' (given as 'smoke'); it has profile, p, rates; "
            "did you mean -p profile smoke?",
        ),
        (("-p", "rate", "0.1"), "did you mean -y 'rates: [0.1]'?"),
        (("-y", "p: 1e-3"), "YAML reads 1e-3 as text; write -p p 0.001"),
        (("-p", "rates", "0.1"), "it is a list, of one member too: -y 'rates: [0.1]'"),
        (
            ("-p", "profile", "papre"),
            "profile = 'papre' is not allowed: profile must be 'paper' or 'smoke'; did you mean "
            "-p profile paper?",
        ),
        (
            ("-p", "p", "1"),
            "p = 1 is not allowed: p must be a finite number at least 2; pass another value with "
            "-p p VALUE, or leave it out",
        ),
        (
            ("-y", "rates: [0.1, -0.2]"),
            "rates = [0.1, -0.2] is not allowed: rates must be a list, each member a finite number "
            "greater than 0; pass another value with -y 'rates: [VALUE, ...]', or leave it out",
        ),
        (("-p", "_rates", "3"), "has no parameter '_rates' (given as 3)"),
    ],
)
def test_bad_parameters_fail_with_a_sentence(tiny, tmp_path, parameters, sentence):
    done = papermill(tiny, tmp_path / "out.ipynb", *parameters)
    assert done.returncode != 0
    assert sentence in done.said.splitlines()[-1]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (parameters.PROFILES, ["paper", "smoke"], ["Paper", None, 1, ["paper"]]),
        ((1, 2), [1, 2], [1.0, True, "1", 3]),
        (
            parameters.RATE,
            [1e-9, 1, 5.0],
            [0, -1, "x", None, True, float("nan"), float("inf"), [1]],
        ),
        (parameters.EXPONENT, [2, 2.5, 6], [1.999, -4, "4"]),
        (parameters.COUNT, [1, 1000, 3.0], [0, 2.5, -1]),
        (parameters.SEED, [0, 7], [-1, 0.5]),
        (parameters.Number(at_most=1, above=0), [1, 0.5], [0, 1.01]),
        (parameters.Each(parameters.RATE), [[1], [0.1, 0.2], (1,)], [[], 1, [1, -1], "12", [[1]]]),
    ],
)
def test_rules(rule, good, bad):
    for value in good:
        parameters.check_parameters({"x": value}, x=rule)
    for value in bad:
        with pytest.raises(parameters.ParameterError, match=r"x = .* is not allowed: x must be"):
            parameters.check_parameters({"x": value}, x=rule)


def test_a_parameter_that_is_checked_but_not_set_is_an_error():
    with pytest.raises(parameters.ParameterError, match="'p' is checked but not set"):
        parameters.check_parameters(
            {"profile": "paper"}, profile=parameters.PROFILES, p=parameters.EXPONENT
        )


def test_status_names_what_was_not_checked_and_why():
    shown = parameters.status(
        ["the curves"], {"batch 7": "its file is not at hand"}
    )._repr_markdown_()
    assert "Checked in this build: the curves." in shown
    assert "**Not checked** in this build: batch 7, because its file is not at hand." in shown


# ---- the stored outputs --------------------------------------------------------------------------


@pytest.fixture
def stored(tiny, tmp_path):
    """The tiny chapter with the outputs of its execution."""
    executed = tmp_path / "executed.ipynb"
    assert papermill(tiny, executed).returncode == 0
    parameters.keep_outputs(executed, tiny)
    return tiny


def nbval(notebook):
    sanitize = ROOT / "tests" / "sanitize.cfg"
    command = [BIN / "pytest", "-q", "--nbval", "--nbval-sanitize-with", sanitize, notebook]
    return run(*command, "-c", ROOT / "pyproject.toml", "--rootdir", notebook.parent)


def test_nbval_passes_stored_outputs(stored):
    text = stored.read_text("utf8")
    assert "iopub" not in text and '"papermill"' not in text
    done = nbval(stored)
    assert done.returncode == 0, done.said


@pytest.mark.parametrize("value", ["1.2000000000000003", "1.2001"])
def test_nbval_names_the_cell_whose_stored_number_was_changed(stored, value):
    """In a last bit too: a number whose bits a processor decides must not be printed that long."""
    text = stored.read_text("utf8")
    assert text.count("1.2000000000000002") == 1
    stored.write_text(text.replace("1.2000000000000002", value), "utf8")
    done = nbval(stored)
    assert done.returncode != 0
    assert "Cell 2" in done.said and value in done.said


def test_outputs_of_another_text_are_refused(stored, tmp_path):
    other = jupytext.read(stored)
    other.cells[-2].source = "p"
    nbformat.write(other, tmp_path / "other.ipynb")
    with pytest.raises(ValueError, match=r"not an execution of .* execute anew"):
        parameters.keep_outputs(tmp_path / "other.ipynb", stored)


def test_a_variable_of_the_users_startup_is_no_parameter():
    given = {"In": ["", 'profile = "paper"'], "profile": "paper", "mine": 3}
    parameters.check_parameters(given, profile=parameters.PROFILES)
