"""From a clone, and a home, in which nothing may be written: what works there, for root too."""

import os
import subprocess

import pytest
from clones import BIN, clone

pytestmark = pytest.mark.usefixtures("no_data")
TRAIN = """from accel_core import Problem, Run, train
print(train(Problem([[1.0], [2.0]], [1.0, 2.0]), Run(2, rate=0.01), 10).status)"""
CHAPTER = "notebooks/50-your-own-data.ipynb"  # it trains


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A clone whose files and folders may not be written."""
    folder = clone(tmp_path_factory.mktemp("sealed") / "clone", "README.md", CHAPTER)
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)


@pytest.fixture
def home(tmp_path):
    """A home with a style of the user's own, which wants LaTeX."""
    style = tmp_path / "home" / ".config" / "matplotlib" / "matplotlibrc"
    style.parent.mkdir(parents=True)
    style.write_text("text.usetex: True\n")
    return tmp_path / "home"


@pytest.fixture
def run(sealed, home, tmp_path):
    """Runs a command as the owner of clone and home, who may write only what is writable."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "NUMBA_", "JUPYTER"))}
    env |= {"HOME": str(home), "ACCEL_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(sealed)}
    env["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    # without these capabilities root is held to permissions like everybody
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]

    def run(*command):
        command = [*bound, *command] if os.geteuid() == 0 else command
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    refused = f"if touch {sealed / 'new'}; then exit 1; fi"
    if os.geteuid() == 0 and subprocess.run([*bound, "bash", "-c", refused]).returncode:
        pytest.skip("root cannot be held to permissions here: setpriv may not drop capabilities")
    run("bash", "-c", refused)
    return run


def test_what_numba_compiles_is_kept_in_the_home(run, home):
    assert "completed" in run("python", "-c", TRAIN)
    assert list(home.rglob("*.nbi"))


def test_where_the_home_is_sealed_too_all_but_keeping_it_works(run, sealed, home, tmp_path):
    subprocess.run(["chmod", "-R", "a-w", home], check=True)
    run("papermill", str(sealed / CHAPTER), "out.ipynb", "-p", "profile", "smoke")
    assert (tmp_path / "out.ipynb").exists()
    subprocess.run(["chmod", "-R", "u+w", home], check=True)
