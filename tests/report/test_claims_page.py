"""The claims' list: nothing lost, nothing unescaped, the filter's values are the entries' own."""

import xml.etree.ElementTree as ET

import pandas as pd

from accel_core.intervals import Estimate
from report.claims import CLAIMS, OUTCOMES, Claim, Verdict, table, tuned_rates
from report.claims.page import NAMES, page, summary
from report.experiments import recorded as runs


def fixed(id, source, outcome, condition="", **evidence):
    verdict = Verdict(outcome, evidence, condition)
    return Claim(id, source, "Sec. 1", f"a < b | {id}", "20-tuned-rates", lambda runs: verdict)


JUDGED = table(
    {},
    [
        fixed("one", "paper", "reproduced", ratio=Estimate(2, 2, 1, 3, 0.9, 5), dex=0.01234),
        fixed("two", "paper", "not reproduced", "x < y & z", name="<b>"),
        fixed("three", "ava", "reproduced with a condition", "only | sometimes"),
    ],
)


def parsed(html):
    """The list without its script, which must be well-formed enough for an XML parser."""
    body = html.split("<script>")[0]
    for bare in ("hidden", "autofocus"):
        body = body.replace(f"<form {bare} ", f'<form {bare}="" ')
    return ET.fromstring(body)


def test_every_claim_is_an_entry_with_its_verdict_evidence_and_place():
    tree = parsed(page(JUDGED)._repr_html_())
    entries = list(tree.iter("details"))
    assert [entry.get("id") for entry in entries] == ["one", "two", "three"]
    assert [entry.get("data-outcome") for entry in entries] == JUDGED.outcome.tolist()
    assert "".join(entries[0].find("summary").itertext()) == "✓ a < b | one reproduced"
    cells = [cell.text for cell in entries[0].iter("td")]
    assert cells == ["ratio", "2.00 [1.00, 3.00]", "dex", "0.0123"]
    assert entries[0].find("p").text == "Median [interval that covers it with 90.0%]."
    assert entries[1].find("p").text == "x < y & z"
    assert "Median" not in "".join(entries[1].itertext())
    assert [cell.text for cell in entries[1].iter("td")] == ["name", "<b>"]
    assert "Arora, Cohen, Hazan (2018), Sec. 1" in "".join(entries[0].itertext())


def test_filter_offers_the_entries_own_values():
    tree = parsed(page(JUDGED)._repr_html_())
    offered = {
        select.get("name"): [option.get("value") for option in select]
        for select in tree.iter("select")
    }
    assert offered["source"] == ["", "paper", "ava"]
    assert offered["outcome"] == ["", *OUTCOMES]
    for name, values in offered.items():
        assert {entry.get(f"data-{name}") for entry in tree.iter("details")} <= set(values)


def test_each_entry_links_to_itself_and_to_its_chapter_where_there_is_one(monkeypatch, tmp_path):
    (tmp_path / "20-tuned-rates.md").touch()
    monkeypatch.setattr("report.claims.page.NOTEBOOKS", tmp_path)
    links = [link.get("href") for link in parsed(page(JUDGED)._repr_html_()).iter("a")]
    assert {link for link in links if link[0] != "#"} == {"20-tuned-rates.html"}
    assert {link[1:] for link in links if link[0] == "#"} == set(JUDGED.id)


def test_markdown_has_a_row_per_claim_and_html_a_section_per_source():
    lines = page(JUDGED)._repr_markdown_().splitlines()
    assert len(lines) == 2 + 3
    assert {line.replace("\\|", "").count("|") for line in lines} == {5}
    sections = list(parsed(page(JUDGED)._repr_html_()).iter("section"))
    assert [part.find("h3").text for part in sections] == [NAMES["paper"], NAMES["ava"]]
    for part, source in zip(sections, ("paper", "ava"), strict=True):
        assert {entry.get("data-source") for entry in part.iter("details")} == {source}


def test_summary_counts_sentences_once_and_curves_apart():
    more = table({}, [fixed("a-curve-b", "paper", "undecided", "half of it")])
    again = JUDGED[JUDGED.id.eq("two")].assign(id="four", source="ava", repeats="two")
    counts = summary(pd.concat([JUDGED, more, again], ignore_index=True))
    assert counts.columns.tolist() == list(OUTCOMES)
    assert counts.loc["Arora, Cohen, Hazan (2018)"].tolist() == [1, 0, 0, 1, 0]
    assert counts.loc["Ava (2024)"].tolist() == [0, 1, 0, 1, 0]
    assert counts.loc["printed curves"].tolist() == [0, 0, 1, 0, 0]
    assert counts.loc["all"].tolist() == [1, 1, 0, 1, 0]


def entry(runs, id):
    """The entry of a claim on the page that these runs give."""
    (claim,) = [claim for claim in CLAIMS if claim.id == id]
    return parsed(page(table(runs, [claim]))._repr_html_()).find(".//details")


def test_changing_one_criterion_changes_the_page(monkeypatch):
    before = entry(runs, "tuned-curve-l2-depth1")
    assert before.get("data-outcome") == "reproduced"
    monkeypatch.setattr(tuned_rates, "SINGLE_LAYER_DEX", 1e-6)
    after = entry(runs, "tuned-curve-l2-depth1")
    assert after.get("data-outcome") != "reproduced"
