"""The house: the lists of packages agree, the configuration is known, make does what it says."""

import importlib.metadata as metadata
import re
import shutil
import sys
import tomllib
from functools import reduce

import nbformat
import pytest
import yaml
from clones import ROOT, run
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from report import experiments


def read(path):
    return (ROOT / path).read_text(encoding="utf8")


# ---- the three lists of packages -----------------------------------------------------------------


def pins():
    lines = [Requirement(line) for line in read("requirements.txt").split("\n") if line]
    return {canonicalize_name(it.name): it for it in lines}


def wanted():
    lists = []
    for path in ("pyproject.toml", "report/pyproject.toml"):
        project = tomllib.loads(read(path))
        extras = project["project"].get("optional-dependencies", {})
        lists += [project["project"]["dependencies"], project["build-system"]["requires"]]
        lists += extras.values()
    requirements = [Requirement(line) for part in lists for line in part]
    return [it for it in requirements if it.name != "accel-core"]


def test_every_requirement_is_pinned_and_installed_at_its_pin():
    assert len(pins()) == len(read("requirements.txt").split())
    for name, pin in pins().items():
        (version,) = pin.specifier
        assert version.operator == "==" and "*" not in version.version, pin
        assert pin.specifier.contains(metadata.version(name)), f"{name}: run `make environment`"


def test_what_make_installs_are_the_pins_each_with_its_hashes():
    hashed = {}
    for line in read("requirements-hashes.txt").replace("\\\n", "").split("\n"):
        if line and not line.startswith("#"):
            pin, *hashes = line.split()
            hashed[canonicalize_name(Requirement(pin).name)] = pin
            assert hashes and all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", h) for h in hashes), (
                pin
            )
    wanted = {name: str(pin.specifier) for name, pin in pins().items() if name != "torch"}
    assert {name: str(Requirement(pin).specifier) for name, pin in hashed.items()} == wanted
    assert "--require-hashes --requirement requirements-hashes.txt" in read("Makefile")


def test_the_pins_are_what_is_needed_no_more_no_less():
    """Whatever a requirement itself requires on this platform is pinned too, and allowed."""
    reached, todo = set(), wanted()
    while todo:
        needed = todo.pop()
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        name = canonicalize_name(needed.name)
        # PyTorch's CUDA wheel, which is not the pinned list's own, names its libraries exactly.
        if name not in pins() and name.startswith(("nvidia-", "triton", "cuda-")):
            continue
        (version,) = pins()[name].specifier
        assert needed.specifier.contains(version.version, prereleases=True), (name, needed)
        if name not in reached:
            reached.add(name)
            todo += map(Requirement, metadata.requires(name) or [])
    assert set(pins()) - reached <= {"pip", "wheel"}


def test_what_the_code_imports_is_declared():
    """A package that is only somebody else's requirement may vanish with the next version."""
    declared = {canonicalize_name(it.name) for it in wanted()}
    declared |= {line.split("==")[0] for line in read("requirements-bench.txt").split()}
    distributions = metadata.packages_distributions()
    own = {it.stem for part in ("tests", "book/_ext") for it in ROOT.glob(f"{part}/**/*.py")}
    own |= {"accel_core", "report"}
    imports = re.compile(r"^ *(?:import|from(?= [\w.]+ import)) (\w+)", re.M)
    for path in (*ROOT.glob("[art]*/*.py"), *ROOT.glob("[art]*/*/*.py")):
        found = set(imports.findall(path.read_text(encoding="utf8")))
        for name in found - set(sys.stdlib_module_names) - own:
            owners = {canonicalize_name(it) for it in distributions.get(name, [name])}
            assert owners & declared, f"{path.name} imports {name}: add it to pyproject.toml"


def test_conda_environment_is_the_pinned_one():
    environment = yaml.safe_load(read("environment.yml"))
    *conda, pip = environment["dependencies"]
    python = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    assert conda == [f"python{python}", "make", "pip"]
    assert pip == {"pip": ["--requirement requirements.txt", "--editable ."]}


# ---- the book's configuration --------------------------------------------------------------------


def unknown_keys(config):
    """Keys of a _config.yml that Jupyter Book does not know and passes over; those of sphinx.config
    are Sphinx's, whose strict build names an unknown one."""
    import jupyter_book.config as book

    defaults = yaml.safe_load(book.PATH_YAML_DEFAULT.read_text(encoding="utf8"))
    schema = book.get_validator().schema["properties"]

    def unknown(part, known, kinds, at=""):
        for key, value in part.items():
            if key not in known and key not in kinds:
                yield f"{at}{key}"
            elif isinstance(value, dict):
                inner = kinds.get(key, {}).get("properties", {})
                yield from unknown(value, known.get(key) or {}, inner, f"{at}{key}.")

    own = {key: value for key, value in config.items() if key != "sphinx"}
    sphinx = config.get("sphinx", {})
    found = list(unknown(own, defaults, schema))
    return found + [f"sphinx.{key}" for key in sphinx if key not in defaults["sphinx"]]


def test_configuration_keys_are_known():
    assert unknown_keys(yaml.safe_load(read("_config.yml"))) == []


@pytest.mark.parametrize("planted", ["titel", "execute.x", "html.use_isues_button", "sphinx.x"])
def test_unknown_configuration_keys_are_found(planted):
    config = yaml.safe_load(read("_config.yml"))
    *path, key = planted.split(".")
    reduce(dict.__getitem__, path, config)[key] = "x"
    assert unknown_keys(config) == [planted]


# ---- the make targets and the workflows ----------------------------------------------------------


def test_the_workflows_run_what_make_does_and_publish_only_what_is_checked():
    checks, publish = (
        yaml.safe_load(read(f".github/workflows/{name}.yml")) for name in ("checks", "publish")
    )
    jobs = publish["jobs"]
    steps = [job.get("steps", []) for flow in (checks, publish) for job in flow["jobs"].values()]
    assert [step["run"] for job in steps for step in job if "run" in step] == [
        ".ci/run", "make book", '.ci/publish "$GITHUB_REF_NAME"',
    ]  # fmt: skip
    assert read(".ci/run").strip().endswith("make test\nexec make without")
    assert publish[True]["push"] == {"branches": ["main"], "tags": ["v*"]}  # `on` is true in YAML
    assert jobs["checks"]["uses"] == "./.github/workflows/checks.yml"
    assert jobs["book"]["needs"] == "checks" and jobs["deploy"]["needs"] == "book"
    assert all("if" not in job and "continue-on-error" not in job for job in jobs.values())
    assert jobs["book"]["steps"][-1]["with"] == {"path": "site"}


def test_every_experiment_is_computed_again_each_week():
    weekly = yaml.safe_load(read(".github/workflows/weekly.yml"))
    assert weekly[True]["schedule"]
    job = weekly["jobs"]["again"]
    assert job["steps"][-1]["run"] == ".venv/bin/python -m report check --all ${{ matrix.names }}"
    names = " ".join(job["strategy"]["matrix"]["names"]).split()
    assert sorted(names) == sorted(experiments.found())


@pytest.fixture
def small_house(tmp_path):
    """A clone with chapters of its own, at a path with a space: `make chapters` there, on this
    environment."""
    tmp_path = tmp_path / "mit Lücke"
    tmp_path.mkdir()
    (tmp_path / "report").mkdir()
    for name in ("Makefile", "requirements.txt", "requirements-hashes.txt", "pyproject.toml",
                 "report/pyproject.toml"):  # fmt: skip
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    # never this environment's own stamp: an old one would install this small house into it
    (tmp_path / "ready").touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book" / "record").mkdir(parents=True)

    def chapter(name, code):
        kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=kernel)
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(nbformat.v4.writes(book))

    def make(*arguments):
        return run(tmp_path, "make", "READY=ready", *arguments)

    return tmp_path, chapter, make


def test_an_environment_of_another_clone_is_refused(tmp_path):
    shutil.copy2(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").write_text("/the/first clone")
    made = run(tmp_path, "make", "chapters")
    assert made.returncode and "belongs to the clone at /the/first clone" in made.said


def test_a_failing_chapter_fails_the_book_by_name(small_house):
    at, chapter, make = small_house
    chapter("98-good", "1 + 1")
    chapter("99-bad", "raise RuntimeError('the reason')")
    made = make("--keep-going", "chapters")
    assert made.returncode != 0
    assert "chapter notebooks/99-bad.ipynb failed" in made.said and "the reason" in made.said
    assert [path.name for path in (at / "book" / "executed").iterdir()] == ["98-good.ipynb"]


def test_a_chapter_is_executed_anew_only_when_what_it_needs_has_changed(small_house):
    at, chapter, make = small_house
    chapter("98-good", "1 + 1")
    assert "executing" in make("chapters").said
    assert "executing" not in make("chapters").said
    (at / "book" / "record" / "new.parquet").write_text("a record")
    assert "executing" in make("chapters").said
    assert "executing" not in make("chapters").said
    chapter("98-good", "1 + 2")
    assert "executing" in make("chapters").said


def test_a_checkout_has_our_line_ends_whatever_git_is_told(tmp_path):
    """`core.autocrlf`, as Windows' git has it, would give files that checksums and make refuse."""

    def git(*command):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = run(tmp_path, "git", *identity, "-c", "core.autocrlf=true", *command)
        assert done.returncode == 0, done.said

    git("init", "first")
    shutil.copy(ROOT / ".gitattributes", tmp_path / "first")
    for name, content in (("a.py", b"x\ny\n"), ("a.parquet", b"a\nb\r\nc")):
        (tmp_path / "first" / name).write_bytes(content)
    git("-C", "first", "add", ".")
    git("-C", "first", "commit", "-m", "two files")
    git("clone", "first", "second")
    for name in ("a.py", "a.parquet"):
        ours, theirs = ((tmp_path / each / name).read_bytes() for each in ("first", "second"))
        assert ours == theirs, name
