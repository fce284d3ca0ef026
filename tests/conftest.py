"""What all tests share: which skips are right, which tests need a browser, and the browser."""

import os
import re
from functools import cache
from pathlib import Path

import pytest
from data_files import FOLDER, NO_DATA
from hypothesis import settings

# No test measures time: a busy machine is no failure.
settings.register_profile("ours", deadline=None, max_examples=60)
settings.load_profile("ours")

AT_HAND = FOLDER.is_dir()  # the data sets


def _right(reason: str) -> bool:
    """Whether a test may be skipped for this reason here: for data only where there are none; for
    what else a machine may lack (a browser, extended precision), anywhere but in CI."""
    if NO_DATA in reason:
        return not AT_HAND
    return "setpriv" in reason or not os.environ.get("CI")


def _wrong_skips(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    return [it for it in skipped if not _right(str(it.longrepr[-1]))]


def pytest_terminal_summary(terminalreporter, config):
    for skipped in _wrong_skips(config):
        terminalreporter.write_line(
            f"{skipped.nodeid} was skipped and should not have been: provide what its reason names",
            red=True,
        )


def pytest_sessionfinish(session):
    if _wrong_skips(session.config):
        session.exitstatus = 1


# What a module says that looks for data, or runs what does: its tests are run again without any.
SEEKS = re.compile(
    r"data_files|datasets|ProblemSpec|recorded\(|DataUnavailable|papermill|ethanol|report\.data"
    r"|mnist|recheck|compute\.|own_data|subprocess|clones|main\("
)
# … and a chapter.
CHAPTER = re.compile(r"ProblemSpec|datasets|recheck|experiments\.runs|\brows\(|recorded|own_data")


@cache
def _says(path, words):
    return bool(words.search(path.read_text(encoding="utf8")))


def _seeks(item):
    if "no_data" in getattr(item, "fixturenames", ()):  # it had none the first time
        return False
    chapter = getattr(item, "callspec", None) and item.callspec.params.get("notebook")
    return _says(chapter.with_suffix(".md"), CHAPTER) if chapter else _says(item.path, SEEKS)


def seeking_chapters():
    """The notebooks that may look for data, from the project's root (for `make without`)."""
    root = Path(__file__).parents[1]
    found = sorted(root.glob("notebooks/[0-9]*.md"))
    return [str(p.relative_to(root).with_suffix(".ipynb")) for p in found if _says(p, CHAPTER)]


def pytest_collection_modifyitems(items):
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        if _seeks(item):
            item.add_marker("data")


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A user's cache of its own, and a place where missing runs are computed."""
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def no_data(own_cache, monkeypatch):
    """No data in ACCEL_DATA, and none in the cache."""
    monkeypatch.delenv("ACCEL_DATA", raising=False)


# Its loop must not outlive the module: others have loops of their own.
@pytest.fixture(scope="module")
def chromium():
    """A running Chromium, without a network."""
    import browser
    from playwright.sync_api import sync_playwright

    if not (path := browser.chromium()):
        pytest.skip(f"no Chromium: install one ({' or '.join(browser.NAMES)}), as .ci/run does")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=browser.FLAGS)
        yield running
        running.close()
