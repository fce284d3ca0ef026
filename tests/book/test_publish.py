"""Publication: versions side by side, refused where something does not fit; the citation."""

import re
import shutil
import subprocess
import tomllib

import book_chapters
import pytest
import yaml
from clones import ROOT, run

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
    return run(at, ".ci/publish", ref)


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
    done = publish(clone, ref, "text")
    assert done.returncode != 0
    assert f"{ref} is neither main nor a tag of version 0.3.1" in done.said
    assert not (clone / "site").exists()


def test_nothing_is_published_without_a_book(clone):
    done = run(clone, ".ci/publish", "main")
    assert done.returncode != 0 and "run 'make book' first" in done.said


# ---- the citation --------------------------------------------------------------------------------


def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))


def test_the_citation_file_is_of_this_version():
    assert str(citation()["version"]) == PROJECT["version"]
    assert citation()["license"] == PROJECT["license"]
    headings = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text("utf8"), re.M)
    assert headings[0] == PROJECT["version"]
    (paper,) = citation()["references"]
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:1802.06509"}]


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
