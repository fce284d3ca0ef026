"""What all tests share: where CI is set, a test that skips counts as a failure."""

import os


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
