"""The house: the lists of packages agree, the configuration is known, make does what it says."""

import ast
import importlib.metadata as metadata
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


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


def test_pins_satisfy_pyproject():
    for requirement in wanted():
        (version,) = pins()[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(version.version), requirement


def test_pins_are_complete():
    """Whatever a pinned package itself requires on this platform is pinned too, and allowed."""
    for name in pins():
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker and not needed.marker.evaluate({"extra": ""}):
                continue
            pin = pins().get(canonicalize_name(needed.name))
            # PyTorch's CUDA wheel, which is not the pinned list's own, names its libraries exactly.
            if name == "torch" and not pin and str(needed.specifier).startswith("=="):
                continue
            assert pin, f"{name} needs {needed}, which requirements.txt does not pin"
            (version,) = pin.specifier
            assert needed.specifier.contains(version.version, prereleases=True), (name, needed)


def test_every_pin_is_needed():
    """No pin is left over from a package that nothing requires any more."""
    reached, todo = set(), [canonicalize_name(it.name) for it in wanted()]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [
                canonicalize_name(it.name)
                for it in map(Requirement, metadata.requires(name) or [])
                if not it.marker or it.marker.evaluate({"extra": ""})
            ]
    assert set(pins()) - reached <= {"pip", "wheel"}


def test_what_the_code_imports_is_declared():
    """A package that is only somebody else's requirement may vanish with the next version."""
    declared = {canonicalize_name(it.name) for it in wanted()}
    declared |= {line.split("==")[0] for line in read("requirements-bench.txt").split()}
    distributions = metadata.packages_distributions()
    own = {
        "accel_core",
        "report",
        *(it.stem for part in ("tests", "book/_ext") for it in ROOT.glob(f"{part}/**/*.py")),
    }
    for path in [
        *ROOT.glob("accel_core/**/*.py"),
        *ROOT.glob("report/**/*.py"),
        *ROOT.glob("tests/**/*.py"),
    ]:
        tree = ast.parse(path.read_text(encoding="utf8"))
        names = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and node.level == 0
                else []
            )
        }
        for name in names - set(sys.stdlib_module_names) - own:
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
    """Keys of a _config.yml that neither Jupyter Book nor Sphinx and the extensions know."""
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
    found += [f"sphinx.{key}" for key in sphinx if key not in defaults["sphinx"]]
    known = sphinx_values(tuple(sphinx.get("extra_extensions") or ()))
    found += [f"sphinx.config.{key}" for key in sphinx.get("config") or {} if key not in known]
    return found


@cache
def sphinx_values(extra):
    """Names of all configuration values that Sphinx has with Jupyter Book's extensions."""
    script = (
        "import sys, tempfile\n"
        "from jupyter_book.config import get_default_sphinx_config\n"
        "from sphinx.application import Sphinx\n"
        "extensions = get_default_sphinx_config()['extensions'] + sys.argv[1:]\n"
        "extensions.remove('sphinx_external_toc')\n"
        "with tempfile.TemporaryDirectory() as at:\n"
        "    out = at + '/out'\n"
        "    app = Sphinx(at, None, out, out, 'html', {'extensions': extensions, "
        "'bibtex_bibfiles': []}, status=None)\n"
        "    print(*app.config.values)\n"
    )
    extra = [
        *extra,
        "sphinxcontrib.bibtex",
    ]  # which Jupyter Book adds to books with bibtex_bibfiles
    run = subprocess.run(
        [sys.executable, "-c", script, *extra], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_configuration_keys_are_known():
    assert unknown_keys(yaml.safe_load(read("_config.yml"))) == []


@pytest.mark.parametrize(
    "planted",
    ["titel", "execute.execute_notebook", "html.use_isues_button", "sphinx.config.html_css_file"],
)
def test_unknown_configuration_keys_are_found(planted):
    config = yaml.safe_load(read("_config.yml"))
    *path, key = planted.split(".")
    part = config
    for name in path:
        part = part[name]
    part[key] = "x"
    assert unknown_keys(config) == [planted]


# ---- the make targets and the workflows ----------------------------------------------------------


def workflow(name):
    return yaml.safe_load(read(f".github/workflows/{name}.yml"))["jobs"]


def test_workflows_run_the_same_targets_and_publish_only_what_is_checked():
    steps = [
        job.get("steps", []) for name in ("checks", "publish") for job in workflow(name).values()
    ]
    assert [step["run"] for job in steps for step in job if "run" in step] == [
        ".ci/run",
        "make book",
        '.ci/publish "$GITHUB_REF_NAME"',
    ]
    assert read(".ci/run").strip().endswith("make test\nexec make without")
    publish = workflow("publish")
    assert publish["checks"]["uses"] == "./.github/workflows/checks.yml"
    assert publish["book"]["needs"] == "checks" and publish["deploy"]["needs"] == "book"


@pytest.fixture
def small_house(tmp_path):
    """A clone with chapters of its own, at a path with a space: `make chapters` there, on this
    environment."""
    tmp_path = tmp_path / "mit Lücke"
    tmp_path.mkdir()
    (tmp_path / "report").mkdir()
    for name in (
        "Makefile",
        "requirements.txt",
        "requirements-hashes.txt",
        "pyproject.toml",
        "report/pyproject.toml",
    ):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    # never this environment's own stamp: an old one would install this small house into it
    (tmp_path / "ready").touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book" / "record").mkdir(parents=True)

    def chapter(name, code):
        import nbformat

        kernel = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata=kernel)
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(nbformat.v4.writes(book))

    def make(*arguments):
        run = ["make", "READY=ready", *arguments]
        return subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)

    return tmp_path, chapter, make


def test_an_environment_of_another_clone_is_refused(tmp_path):
    shutil.copy2(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").write_text("/the/first clone")
    run = subprocess.run(["make", "chapters"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode and "belongs to the clone at /the/first clone" in run.stderr


def test_a_failing_chapter_fails_the_book_by_name(small_house):
    at, chapter, make = small_house
    chapter("98-good", "1 + 1")
    chapter("99-bad", "raise RuntimeError('the reason')")
    run = make("--keep-going", "chapters")
    assert run.returncode != 0
    assert "chapter notebooks/99-bad.ipynb failed" in run.stdout and "the reason" in run.stdout
    assert [path.name for path in (at / "book" / "executed").iterdir()] == ["98-good.ipynb"]


def test_a_chapter_is_executed_anew_only_when_what_it_needs_has_changed(small_house):
    at, chapter, make = small_house
    chapter("98-good", "1 + 1")
    assert "executing" in make("chapters").stdout
    assert "executing" not in make("chapters").stdout
    (at / "book" / "record" / "new.parquet").write_text("a record")
    assert "executing" in make("chapters").stdout
    assert "executing" not in make("chapters").stdout
    chapter("98-good", "1 + 2")
    assert "executing" in make("chapters").stdout


def test_a_checkout_has_our_line_ends_whatever_git_is_told(tmp_path):
    """`core.autocrlf`, as Windows' git has it, would give files that checksums and make refuse."""

    def git(*command):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, "-c", "core.autocrlf=true", *command], cwd=tmp_path,
                       check=True, capture_output=True)  # fmt: skip

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
