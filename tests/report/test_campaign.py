"""Accidents on purpose: a small campaign finds nothing lost, unnoticed or left behind."""

import signal
import time

import numpy as np
import pandas as pd
import pytest

from report import campaign as accidents
from report import paths
from report.__main__ import main
from report.campaign import Tally, campaign, corruptions

pytestmark = pytest.mark.usefixtures("no_data")


def test_a_small_campaign_loses_nothing_and_misses_nothing():
    table = campaign(kills=1, corruptions=25, kinds=("sweep",))
    assert table.tried.sum() == 1 + 4 + 25
    assert not table[["unnoticed", "lost", "processes left"]].to_numpy().any(), table.to_string()
    assert (table["made good"] + table.detected == table.tried).all()


def test_a_recorder_that_is_killed_in_its_first_seconds_leaves_no_process(tmp_path):
    """At moments that nobody has chosen: while it, or its workers, import, compile or train."""
    moments = np.sort(np.random.default_rng().uniform(0.0, 8.0, 4))
    began, running = time.monotonic(), {}
    for moment in moments:
        folder = tmp_path / f"{moment:.3f}"
        running[folder] = accidents._begin(folder, "sweep")
    for moment, (_, process) in zip(moments, running.items(), strict=True):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        accidents._end(process, signal.SIGKILL)
    assert {folder.name: accidents._left(folder) for folder in running} == {
        folder.name: 0 for folder in running
    }


@pytest.mark.parametrize(
    ("how", "outcome"), [("flip", "unnoticed"), ("double", "unnoticed"), ("drop", "detected")]
)
def test_what_nobody_checks_goes_unnoticed(how, outcome, tmp_path, monkeypatch):
    """A file that is read as it is: the campaign says so."""

    def unchecked(folder, copy, rng):
        path = copy / "file.parquet"
        path.write_bytes(b"as it is")

        def look():
            if not path.exists():
                raise corruptions.RecordError("gone")
            return path.read_bytes()

        return path, look(), look

    monkeypatch.setitem(corruptions._COPIES, "shard", unchecked)
    found, _ = corruptions.outcome_of(how, "shard", tmp_path, np.random.default_rng(0))
    assert found == outcome


def test_the_command_fails_where_something_is_lost(monkeypatch, capsys, tmp_path):
    tally = Tally()
    tally.add("SIGKILL", "sweep", "made good", "the next recording")
    tally.add("SIGKILL", "sweep", "lost", left=2)

    def tried(kills, corruptions, seed, keep):
        keep(tally.table())
        return tally.table()

    monkeypatch.setattr("report.campaign.campaign", tried)
    out = tmp_path / "table.csv"
    assert main(["campaign", "--kills", "2", "--out", str(out)]) == 1
    assert out.read_text().splitlines()[1] == "SIGKILL,sweep,2,1,0,the next recording,0,1,2"


def test_the_page_s_campaign_lost_nothing_and_its_sentence_counts_it():
    table = pd.read_csv(paths.DATA / "campaign.csv")
    assert not table[["unnoticed", "lost", "processes left"]].to_numpy().any()
    assert (table["made good"] + table.detected == table.tried).all()
    page = (paths.BOOK / "accidents.md").read_text(encoding="utf8")
    assert f"**In short:** {table.tried.sum():,} accidents, none of which lost a run" in page
