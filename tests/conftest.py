"""What all tests share: where CI is set, a test that skips counts as a failure; the browser."""

import os

import pytest


def _skipped(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter.stats.get("skipped", []) if reporter and os.environ.get("CI") else []


def pytest_terminal_summary(terminalreporter, config):
    if skipped := _skipped(config):
        terminalreporter.write_line(
            f"CI is set and {len(skipped)} tests were skipped: provide what they name "
            "(their reasons stand above), or unset CI to allow skips",
            red=True,
        )


def pytest_sessionfinish(session):
    if _skipped(session.config):
        session.exitstatus = 1


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
