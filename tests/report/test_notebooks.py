"""Every chapter: its pair in step, its form, its smoke execution, its guard, its stored outputs."""

import ast
import os
import re
import shutil

import data_files
import jupytext
import nbformat
import pytest
import yaml
from clones import NOTEBOOKS, ROOT, given, nbval, run
from jupytext.cli import jupytext as jupytext_command

from report import parameters

every_chapter = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def papermill(notebook, out, *parameters):
    command = ["papermill", "--no-progress-bar", notebook, out, *parameters]
    done = run(ROOT, *command)
    # two kernels that start at once may have chosen one port
    return run(ROOT, *command) if "Kernel died before replying" in done.said else done


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
    jupytext_command(["--quiet", "--sync", str(book)])
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
        data_files.skip(notebook.stem)
    assert done.returncode == 0, done.said


WRONG = [("profil", "smoke", "did you mean -p profile smoke?"),
         ("profile", "papre", "did you mean -p profile paper?")]  # fmt: skip


@every_chapter
@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_every_chapter_refuses_wrong_parameters(notebook, name, value, said):
    with pytest.raises(parameters.ParameterError, match=re.escape(said)):
        given(notebook, {name: value})


# ---- the guard -----------------------------------------------------------------------------------


def template():
    """The chapter that notebooks/README.md shows as the one to begin with."""
    text = (ROOT / "notebooks" / "README.md").read_text("utf8")
    return re.search(r"^````markdown\n(.*?)^````$", text, re.MULTILINE | re.DOTALL)[1]


def write_tiny(folder):
    """The template of a chapter, paired, in a folder of its own."""
    shutil.copy(ROOT / "notebooks" / "jupytext.toml", folder)
    (folder / "98-tiny.md").write_text(template(), "utf8")
    jupytext_command(["--quiet", "--sync", str(folder / "98-tiny.md")])
    return folder / "98-tiny.ipynb"


@pytest.fixture
def tiny(tmp_path):
    (folder := tmp_path / "tiny").mkdir()
    return write_tiny(folder)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "profil: smoke",
            "this chapter has no parameter 'profil' (given as 'smoke'); it has profile, p, rates; "
            "did you mean -p profile smoke?",
        ),
        ("rate: 0.1", "did you mean -y 'rates: [0.1]'?"),
        ("p: 1e-3", "YAML reads 1e-3 as text; write -p p 0.001"),
        ("rates: 0.1", "it is a list, of one member too: -y 'rates: [0.1]'"),
        (
            "profile: papre",
            "profile = 'papre' is not allowed: profile must be 'paper' or 'smoke'; did you mean "
            "-p profile paper?",
        ),
        (
            "p: 1",
            "p = 1 is not allowed: p must be a finite number at least 2; pass another value with "
            "-p p VALUE, or leave it out",
        ),
        (
            "rates: [0.1, -0.2]",
            "rates = [0.1, -0.2] is not allowed: rates must be a list, each member a finite number "
            "greater than 0; pass another value with -y 'rates: [VALUE, ...]', or leave it out",
        ),
        ("_rates: 3", "has no parameter '_rates' (given as 3)"),
    ],
)
def test_bad_parameters_fail_with_a_sentence(tiny, said, sentence):
    given(tiny, yaml.safe_load("{profile: smoke, p: 2.5, rates: [1.0e-3]}"))
    with pytest.raises(parameters.ParameterError, match=re.escape(sentence)):
        given(tiny, yaml.safe_load(said))


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


# ---- the stored outputs --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """An execution of the tiny chapter."""
    folder = tmp_path_factory.mktemp("executed")
    done = papermill(write_tiny(folder), folder / "executed.ipynb")
    assert done.returncode == 0, done.said
    return folder / "executed.ipynb"


@pytest.fixture
def stored(tiny, executed):
    """The tiny chapter with the outputs of its execution."""
    parameters.keep_outputs(executed, tiny)
    return tiny


def test_nbval_names_the_cell_whose_stored_number_was_changed_in_a_last_bit(stored):
    """A number whose bits a processor decides must not be printed that long; the rest passes."""
    text = stored.read_text("utf8")
    assert "iopub" not in text and '"papermill"' not in text
    assert text.count("1.2000000000000002") == 1
    stored.write_text(text.replace("1.2000000000000002", "1.2000000000000003"), "utf8")
    done, failed = nbval(stored)
    assert failed == {2} and "1.2000000000000003" in done.said


def test_outputs_of_another_text_are_refused(stored, tmp_path):
    other = jupytext.read(stored)
    other.cells[-2].source = "p"
    nbformat.write(other, tmp_path / "other.ipynb")
    with pytest.raises(ValueError, match=r"not an execution of .* execute anew"):
        parameters.keep_outputs(tmp_path / "other.ipynb", stored)


def test_a_variable_of_the_users_startup_is_no_parameter():
    given = {"In": ["", 'profile = "paper"'], "profile": "paper", "mine": 3}
    parameters.check_parameters(given, profile=parameters.PROFILES)
