"""What the chapter on explicit acceleration calls its rules, and its races of momentum."""

import pytest

from report import explicit_tables as page
from report.claims import explicit
from report.experiments import EXPERIMENTS


@pytest.mark.parametrize("name", [*explicit.LAYERS, *explicit.ADAMS, "momentum"])
def test_every_rule_of_the_chapter_has_a_name_in_words(name):
    rules = {repr(spec.run.rule) for spec in EXPERIMENTS[name].specs()}
    names = {rule: page.WORDS[rule] for rule in rules}
    assert len(set(names.values())) == len(names)
    assert not any("(" in words for words in names.values())


def test_momentum_on_both_is_judged_by_the_single_layers_targets():
    both = page.momentum_races(4.0, (0.4, 0.8), "both")
    assert [(race.model["depth"], race.over["depth"]) for race in both] == [(3, 1)] * 4
    for race in both:
        assert race.model["rule"] == race.over["rule"] != page.MOMENTA["none"]
        assert race.reference is None
