"""Publication: versions side by side, refused where something does not fit; the citation."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import book_chapters
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]


# ---- the site ------------------------------------------------------------------------------------


def git(at, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    run = ["git", *identity, *arguments]
    return subprocess.run(run, cwd=at, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path):
    """A clone with a built book of one page, and the repository that it was cloned from."""
    origin, at = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", "--bare", origin)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", at)
    git(at, "remote", "add", "origin", str(origin))
    (at / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "publish", at / ".ci")
    (at / "pyproject.toml").write_text('[project]\nversion = "0.3.1"\n')
    git(at, "add", "--all")
    git(at, "commit", "--quiet", "-m", "all")
    (at / "book" / "_build" / "html").mkdir(parents=True)
    return at


def publish(at, ref, text):
    (at / "book" / "_build" / "html" / "index.html").write_text(text)
    if (at / "site").exists():  # a workflow begins with a fresh checkout
        git(at, "worktree", "remove", "--force", "site")
    return subprocess.run([".ci/publish", ref], cwd=at, capture_output=True, text=True)


def published(at):
    names = git(at / "..", "-C", "origin.git", "ls-tree", "-r", "--name-only", "pages").split()
    show = [git(at / "..", "-C", "origin.git", "show", f"pages:{name}") for name in names]
    return dict(zip(names, show, strict=True))


def test_versions_stand_side_by_side_and_only_their_own_is_replaced(clone):
    assert publish(clone, "main", "first").returncode == 0
    assert published(clone)["latest/index.html"] == "first"
    assert publish(clone, "v0.3.1", "release").returncode == 0
    assert publish(clone, "main", "second").returncode == 0
    site = published(clone)
    assert site["latest/index.html"] == "second" and site["v0.3/index.html"] == "release"
    assert set(site) == {".nojekyll", "index.html", "latest/index.html", "v0.3/index.html"}
    assert re.findall(r'href="(.+?)"', site["index.html"]) == ["v0.3/", "latest/"]
    assert 'content="0; url=latest/"' in site["index.html"]
    assert (clone / "site" / "v0.3" / "index.html").read_text() == "release"


@pytest.mark.parametrize("ref", ["v0.4.0", "v0.3.2", "topic"])
def test_a_tag_that_is_not_the_version_is_refused(clone, ref):
    run = publish(clone, ref, "text")
    assert run.returncode != 0
    assert f"{ref} is neither main nor a tag of version 0.3.1" in run.stderr
    assert not (clone / "site").exists()


def test_nothing_is_published_without_a_book(clone):
    run = subprocess.run([".ci/publish", "main"], cwd=clone, capture_output=True, text=True)
    assert run.returncode != 0 and "run 'make book' first" in run.stderr


def test_the_workflow_publishes_main_and_tags_and_only_what_was_checked():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yml").read_text("utf8"))
    assert flow[True]["push"] == {"branches": ["main"], "tags": ["v*"]}  # YAML reads `on` as true
    jobs = flow["jobs"]
    assert jobs["book"]["needs"] == "checks" and jobs["deploy"]["needs"] == "book"
    assert all("if" not in job and "continue-on-error" not in job for job in jobs.values())
    steps = [step.get("run") or step["uses"].partition("@")[0] for step in jobs["book"]["steps"]]
    assert steps[0] == "actions/checkout"
    assert steps[-3:] == [
        "make book",
        '.ci/publish "$GITHUB_REF_NAME"',
        "actions/upload-pages-artifact",
    ]
    assert jobs["book"]["steps"][-1]["with"] == {"path": "site"}


# ---- the citation --------------------------------------------------------------------------------

# Citation File Format 1.2.0: the keys it has, and those it demands (of a person: a family name).
KEYS = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi",
    "identifiers", "keywords", "license", "license-url", "message", "preferred-citation",
    "references", "repository", "repository-artifact", "repository-code", "title", "type", "url",
    "version",
}  # fmt: skip
DEMANDED = {"authors", "cff-version", "message", "title"}
TYPES = {"article", "book", "conference-paper", "data", "dataset", "software", "website"}


def faults(citation):
    """What the format does not allow."""
    yield from (f"unknown key {key}" for key in set(citation) - KEYS)
    yield from (f"no {key}" for key in DEMANDED - set(citation))
    if citation.get("cff-version") != "1.2.0":
        yield "cff-version"
    if citation.get("type", "software") not in ("software", "dataset"):
        yield "type"
    works = [citation, *citation.get("references", ())]
    for work in works[1:]:
        if not {"authors", "title", "type"} <= set(work) or work["type"] not in TYPES:
            yield f"reference {work.get('title')}"
    for author in (author for work in works for author in work.get("authors", ())):
        if not ("name" in author or {"family-names", "given-names"} <= set(author)):
            yield f"author {author}"


def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))


def test_the_citation_file_is_valid_and_of_this_version():
    assert list(faults(citation())) == []
    assert str(citation()["version"]) == PROJECT["version"]
    assert citation()["license"] == PROJECT["license"]
    headings = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text("utf8"), re.M)
    assert headings[0] == PROJECT["version"]
    (paper,) = citation()["references"]
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:1802.06509"}]


@pytest.mark.parametrize(
    "planted", [{"titel": "x"}, {"authors": [{"given-names": "x"}]}, {"cff-version": "1.1"}]
)
def test_an_invalid_citation_file_is_found(planted):
    assert list(faults(citation() | planted))
    assert list(faults({key: v for key, v in citation().items() if key != "title"}))


def test_the_citation_box_is_the_file_s_content():
    entry = book_chapters.bibtex(citation())
    assert entry.startswith("@software{accel_core,\n")
    assert f"title = {{{{{citation()['title']}}}}}" in entry and PROJECT["version"] in entry
    assert entry.count("{") == entry.count("}")
    assert "<!-- citation -->" in (ROOT / "book" / "bibliography.md").read_text("utf8")
    built = ROOT / "book" / "_build" / "html" / "bibliography.html"
    if built.exists():
        assert "@software" in built.read_text("utf8")


def test_other_people_s_actions_are_pinned_by_commit():
    """A tag can be moved; a commit cannot."""
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses: (.+)", path.read_text("utf8")):
            assert used.startswith("./") or re.fullmatch(r"\S+@[0-9a-f]{40}  # v[\d.]+", used), used
