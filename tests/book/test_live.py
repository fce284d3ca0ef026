"""The paper's experiment in a browser: what is computed live ends where the recorded runs end."""

import json
import sys

import browser
import pytest
from test_browser import ROOT
from test_play import alone


@pytest.fixture(scope="module")
def recorded():
    """What the book's extension writes for the figures."""
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    import book_play

    return book_play.data()


def opened(chromium, folder, fragment, data):
    texts = {"play-data": f"window.accelPlay = {json.dumps(data)};"}
    address = alone(folder, fragment, "play-data.js", "charts.js", "live.js", **texts)
    return browser.visit(chromium, address, folder.as_uri())


def trained(page, depth, index, seed):
    """(last distance computed, the record's) of a million iterations."""
    page.eval_on_selector(".live", "it => { it.dataset.state = 'waiting'; }")
    for name, value in (("depth", depth), ("rate", index), ("seed", seed)):
        page.locator(f"input[name={name}]").fill(str(value))
    page.wait_for_timeout(200)
    page.wait_for_function(
        "['completed', 'diverged'].includes(document.querySelector('.live').dataset.state)",
        timeout=120_000,
    )
    live = page.eval_on_selector(".live", "it => ({ ...it.dataset })")
    print(f"depth {depth}: {live['seconds']} s")  # reported, not asserted
    return live


STABLE = [(1, 21, 0), (2, 14, 3), (3, 12, 4)]  # depth, number of rate, start


def test_the_l2_experiment_ends_where_the_record_does(chromium, tmp_path, recorded):
    with opened(chromium, tmp_path, "l2-live.html", recorded) as here:
        for case in STABLE:
            live = trained(here.page, *case)
            assert live["state"] == "completed"
            assert float(live["last"]) == pytest.approx(float(live["recorded"]), rel=1e-6), case
        assert trained(here.page, 1, 25, 0)["state"] == "diverged"  # rate 0.04
        assert browser.console(here) + browser.outside(here) == []


def test_the_l4_replay_counts_the_starts_that_survive(chromium, tmp_path, recorded):
    with opened(chromium, tmp_path, "l4-replay.html", recorded) as here:
        for depth, index in ((1, 3), (1, 4), (2, 3), (3, 1)):
            here.page.locator("input[name=depth]").fill(str(depth))
            here.page.locator("input[name=rate]").fill(str(index))
            rate = [1e-5, 5e-5, 1e-4, 5e-4, 1e-3][index]
            chosen = [
                it for it in recorded["l4"]["runs"] if (it["depth"], it["rate"]) == (depth, rate)
            ]
            alive = sum(it["diverged"] is None for it in chosen)
            assert len(chosen) == 5
            assert here.page.locator(".live").get_attribute("data-alive") == str(alive)
            here.page.locator("[role=status]", has_text=f"{alive} of 5 starts survive").wait_for()
        assert browser.console(here) + browser.outside(here) == []
