"""Checks as a page shows them: counted by statement, and nothing of an error's digits."""

import re

import pytest

from report import theory_tables
from report.theory_checks import Check
from report.theory_tables import TITLES


def test_checks_are_counted_by_statement_and_failures_are_seen():
    checks = [
        Check("thm-curl", 1e-15, 1e-14),
        Check("thm-end-to-end", 0.0, 0.0),
        Check("thm-curl", 2e-14, 1e-14),
        Check("thm-curl", float("nan"), 1e-14),
    ]
    table = theory_tables.outcomes(checks)
    assert table.to_dict("records") == [
        {"statement": TITLES["thm-curl"], "paper": "ours", "cases": 3, "within": 1},
        {"statement": TITLES["thm-end-to-end"], "paper": "Theorem 1", "cases": 1, "within": 1},
    ]


@pytest.mark.parametrize("error", [1.234e-15, 5.678e-13])
def test_no_digit_of_an_error_is_shown(error):
    checks = [[Check("thm-curl", error, 1e-12)], Check("thm-warmup", error, 1e-12)]
    html = theory_tables.show(*checks)._repr_mimebundle_()["text/html"]
    assert re.findall(r"<td>([\d.e-]+)</td>", html) == ["1", "1", "1", "1"]


def test_every_place_in_the_paper_belongs_to_a_statement():
    assert set(theory_tables.PAPER) <= set(TITLES)
