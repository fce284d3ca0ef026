"""The pages: contents complete, README current, snippets run, nothing loaded from elsewhere."""

import re
import subprocess
from pathlib import Path

import book_site
import data_files
import pytest
import yaml
from clones import BIN, ROOT, run

from report import __main__ as command_line
from report import figures, readme, why
from report.experiments import recorded
from report.prose import NoLongerHoldsError


def read(path):
    return (ROOT / path).read_text(encoding="utf8")


# ---- the table of contents -----------------------------------------------------------------------


def test_contents_name_every_chapter_and_every_page_once():
    toc = yaml.safe_load(read("_toc.yml"))
    files = [toc["root"], *(page["file"] for part in toc["parts"] for page in part["chapters"])]
    pages = [path.stem for path in (ROOT / "book").glob("*.md")]
    chapters = [f"executed/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert sorted(files) == sorted(pages + chapters), "add the missing page's line to _toc.yml"


#: What a reader meets, in this order: the mechanism, the paper's experiments, why, the
#: replications, beyond the paper. What else there is stands in the appendix.
ORDER = [("05",), ("20", "21", "22", "23", "24", "26"), ("10", "11", "12", "13", "14", "15", "25"),
         ("30", "31", "32"), ("33", "34", "50")]  # fmt: skip


def test_the_chapters_are_numbered_in_the_order_in_which_the_book_argues():
    toc = yaml.safe_load(read("_toc.yml"))
    assert toc["defaults"] == {"numbered": 1}
    *parts, appendix = [
        [Path(page["file"]).name[:2] for page in part["chapters"]] for part in toc["parts"]
    ]
    assert [[name for name in part if name.isdigit()] for part in parts] == [*map(list, ORDER)]
    assert appendix[0] == "40"  # the claims


def test_a_figure_has_the_number_of_its_chapter_in_the_sidebar():
    said = "Table 20.1, and Figure 5.12 (Figure 7.1)"
    assert book_site.renumbered(said, {20: 2, 5: 1}) == "Table 2.1, and Figure 1.12 (Figure 7.1)"


# ---- what is generated in the README -------------------------------------------------------------


def test_readme_is_current():
    made = readme.written(read("README.md"), ROOT, recorded)
    assert read("README.md") == made, "run `make readme`"
    kept = readme.replaced(read("CHANGELOG.md"), {"digest": readme.record_digest()})
    assert read("CHANGELOG.md") == kept, "run `make readme`"


def test_the_answer_has_a_hundred_and_fifty_words_at_most():
    answer = re.search("answer:begin -->(.*?)<!-- answer:end", read("README.md"), re.DOTALL)[1]
    assert len(re.sub("<!--.*?-->", "", answer).split()) <= 150


def test_every_folder_of_the_project_has_a_line():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: git cannot say which folders belong to the project")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    folders = {Path(name).parts[0] for name in listed.stdout.split("\n") if "/" in name}
    assert folders <= set(readme.FOLDERS)


def test_a_marker_that_is_missing_is_an_error():
    with pytest.raises(ValueError, match="exactly one <!-- tree:begin -->"):
        readme.replaced("no markers", {"tree": "x"})
    with pytest.raises(ValueError, match="no <!-- gain -->…<!-- -->"):
        readme.filled("no markers", {"gain": "1.7"})


def test_a_number_of_the_answer_follows_the_record():
    text = read("README.md").replace("<!-- fine -->2.6<!-- -->", "<!-- fine -->26<!-- -->")
    assert text != read("README.md")
    assert readme.written(text, ROOT, recorded) == read("README.md")


def test_an_answer_that_the_record_no_longer_bears_out_fails_by_its_phrase():
    def one_survives(name):
        runs = recorded(name).copy()
        if name == "printed_l4":
            first = runs.index[runs.rule.eq("GradientDescent()")][0]
            runs.loc[first, "status"] = "completed"
        return runs

    with pytest.raises(NoLongerHoldsError, match="diverges from every start that we tried"):
        readme.written(read("README.md"), ROOT, one_survives)


def test_a_guarded_phrase_that_the_answer_lost_is_an_error():
    text = re.sub(r"two\s+layers\s+start\s+slower", "two layers are slower", read("README.md"))
    with pytest.raises(ValueError, match="no longer says “two layers start slower”"):
        readme.written(text, ROOT, recorded)


def test_the_figure_is_that_of_the_record_and_the_same_bytes_every_time(tmp_path):
    for name in ("one.svg", "two.svg"):
        figures.use_style()
        readme.draw(canvas := why.draw_why(why.why_table()), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert readme.digest(canvas) in read(readme.FIGURE), "run `make readme`"


# ---- every snippet on the pages ------------------------------------------------------------------


def snippets():
    """Each command of each page; a comment `# fails: ...` below it says how its last line ends.
    What the page on adding an experiment says is done one after the other in `test_add`."""
    pages = [page for page in sorted((ROOT / "book").glob("*.md")) if page.stem[:6] != "add-an"]
    found = {}  # what two pages say is run once
    for page in [ROOT / "README.md", *pages]:
        for block in re.findall(r"^```bash\n(.*?)^```", page.read_text("utf8"), re.M | re.S):
            for line, ending in re.findall(r"^([^#\n]+).*\n(?:# fails: (.*)\n)?", block, re.M):
                found.setdefault((line.strip(), ending), page.name)
    return [pytest.param(*it, id=f"{page}: {' '.join(it)}") for it, page in found.items()]


@pytest.fixture
def clone(tmp_path):
    """A folder in which the clone's files are seen, and into which a command may write."""
    for path in ROOT.iterdir():
        if path.name not in (".git", "build", ".venv"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / ".venv").mkdir()  # make refuses another clone's
    (tmp_path / ".venv" / "bin").symlink_to(BIN)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


@pytest.mark.parametrize(("command", "ending"), snippets())
def test_snippet(clone, command, ending):
    assert re.match(r"(\w+=\S+ )?(make|papermill|python -m report|source) ", command)
    # what `make` would do is tested by doing it: this very test runs inside `make test`
    command = re.sub(r"\bmake ", "make --dry-run ", command)
    done = run(clone, "bash", "-ec", command)
    said = done.said
    if "DataUnavailable" in said or "is not at hand" in said:
        data_files.skip(command)
    assert (done.returncode != 0) == bool(ending), said
    assert said.endswith(ending)


# ---- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data", "etanol"], "no data set is called 'etanol'; there are ethanol"),
        (["record", "tuned"], "no experiment 'tuned': there are "),
    ],
)
def test_a_wrong_name_on_the_command_line_is_told_in_a_sentence(arguments, sentence, capsys):
    assert command_line.main(arguments) == 1
    assert capsys.readouterr().err.startswith(f"error: {sentence}")
