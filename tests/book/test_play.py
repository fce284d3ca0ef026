"""The playable figures, driven in a browser: their numbers are the library's and the record's."""

import csv
import io
from pathlib import Path

import browser
import numpy as np
import pytest
from test_browser import ROOT

from accel_core import theory
from accel_core.initializers import Initializer, factor_balanced
from accel_core.problem import Problem
from accel_core.training import Run, train

TOLERANCE = 0.1  # of the page's target
STATIC = ROOT / "book" / "static"


class Product(Initializer):
    """A balanced start with a given end-to-end vector."""

    def __init__(self, w):
        self.w = w

    def __call__(self, sizes, rng):
        return factor_balanced(self.w[None, :], sizes, rng)


def alone(folder, fragment, *scripts, **texts):
    """The address of a page that holds a playable figure and nothing else. `texts`: scripts by
    their names without endings, in place of the project's."""
    for name in scripts:
        text = texts.get(name.split(".")[0]) or (STATIC / name).read_text("utf8")
        (folder / name).write_text(text, "utf8")
    html = (STATIC / fragment).read_text("utf8").replace("../_static/", "")
    (folder / "play.css").write_text((STATIC / "play.css").read_text("utf8"), "utf8")
    loads = "" if "<script" in html else "".join(f'<script src="{it}"></script>' for it in scripts)
    (folder / "page.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>figure</title>'
        f'<link rel="stylesheet" href="play.css"><main>{html}{loads}</main>',
        "utf8",
    )
    return (folder / "page.html").as_uri()


def set_controls(page, values):
    """Moves the page's controls; each must take the value, which a step of a slider might not."""
    page.eval_on_selector_all("details", "all => all.forEach(it => (it.open = true))")
    page.click("button[type=reset]")
    page.wait_for_timeout(20)
    for name, value in values.items():
        if name in ("same", "both"):
            page.check(f"input[name={name}]")
        else:
            slider = page.locator(f"input[name={name}]")
            slider.fill(str(value))
            assert float(slider.input_value()) == value, (name, value)


def read_controls(page):
    """What the controls stand at, logarithmic ones as the numbers that they mean."""
    said = page.eval_on_selector_all(
        ".sliders input[type=range]",
        "all => all.map(it => [it.name, it.valueAsNumber, 'log' in it.dataset])",
    )
    at = {name: 10**value if log else value for name, value, log in said}
    steps = int(page.locator(".live").get_attribute("data-steps"))
    same = page.is_checked("input[name=same]")
    return at | {"same": same, "depth": int(at["depth"]), "steps": steps}


def read_numbers(page):
    """(rows of the table, curves of the file, effective rates) as the page has them."""
    page.eval_on_selector_all("details", "all => all.forEach(it => (it.open = true))")
    table = page.eval_on_selector_all(
        "[data-part=numbers] tr",
        "all => all.map(tr => [...tr.querySelectorAll('data')].map(it => it.value))",
    )
    names = ("reached", "diverged", "rate", "loss", "w_1", "w_2")
    rows = [dict(zip(names, (float(x) if x else None for x in row), strict=True)) for row in table]
    with page.expect_download() as download:
        page.click("[data-part=download]")
    curves = {}
    for row in csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf8"))):
        curves.setdefault(row["model"], []).append(
            [float(row[it]) for it in ("w_1", "w_2", "loss")]
        )
    rates = page.eval_on_selector_all(
        "[data-rate]", "all => all.map(it => Number(it.dataset.rate))"
    )
    return rows, {name: np.array(curve) for name, curve in curves.items()}, rates


def library(at):
    """What `accel_core` makes of the controls: for each model rate, path, losses and events."""
    start, steps = at["scale"] * np.array([at["w1"], at["w2"]]), round(at["steps"])
    size, angle = np.hypot(*start) / np.sqrt(2), np.degrees(np.arctan2(start[1], start[0]))
    problem = theory.TwoPoints(at["ratio"], at["p"], size, angle, TOLERANCE, steps)
    deep = at["rate"] * theory.monotone_rate(problem, at["depth"])
    plain = deep if at["same"] else at["plain"] * theory.monotone_rate(problem, 1)
    labels = np.array([at["ratio"], 1.0])
    objective = theory.Separable(labels, at["p"])
    # the library's loss is a mean of two rows without 1/p: 2/p of it is the page's
    run = Run(at["depth"], start=Product(start), rate=deep * 2 / at["p"])
    rows, every = Problem(np.eye(2), labels, at["p"]), range(steps + 1)
    (trained,) = train(rows, [run], steps, record_at=every, engine="torch")
    paths = {
        "plain": (plain, theory.trajectory(problem, 1, plain, steps)),
        "layers": (deep, trained.end_to_end[:, 0]),
        "rule": (deep, theory.trajectory(problem, at["depth"], deep, steps)),
    }
    expected = {}
    for kind, (rate, path) in paths.items():
        inside = np.linalg.norm(path, axis=1) <= theory.two_points.BOUND * at["ratio"]
        diverged = None if inside.all() else int(np.argmin(inside))
        path = path[:diverged]
        arrived = np.all(np.abs(path - labels) <= TOLERANCE * labels, axis=1)
        reached = int(np.argmax(arrived)) if arrived.any() else None
        expected[kind] = (rate, path, objective.value(path), reached, diverged)
    for kind, depth in (("plain", 1), ("rule", at["depth"])):  # the compiled loop agrees
        (count,) = theory.iterations(problem, depth, np.array([expected[kind][0]]))
        assert count == expected[kind][3] if count >= 0 else expected[kind][3] is None
    return expected, objective


def differences(page):
    """Where the page and the library are further apart than 1e-9 of the value."""
    at = read_controls(page)
    expected, objective = library(at)
    rows, curves, rates = read_numbers(page)
    found = []

    def compare(what, value, wanted):
        value, wanted = np.asarray(value, float), np.asarray(wanted, float)
        if value.shape != wanted.shape or not np.allclose(value, wanted, rtol=1e-9, atol=1e-12):
            found.append(what)

    assert list(curves) == list(expected)
    for row, (kind, (rate, path, losses, reached, diverged)) in zip(
        rows, expected.items(), strict=True
    ):
        compare(f"{kind}: rate", row["rate"] / rate, 1)
        compare(f"{kind}: path", curves[kind][:, :2], path)
        compare(f"{kind}: losses", curves[kind][:, 2], losses)
        compare(f"{kind}: last", [row["loss"], row["w_1"], row["w_2"]], [losses[-1], *path[-1]])
        if (row["reached"], row["diverged"]) != (reached, diverged):
            found.append(f"{kind}: events")
    # the bars at the iteration shown: one layer, the deep one along and across w, one layer's limit
    (plain, path, *_), (deep, layers, *_) = expected["plain"], expected["layers"]
    t = int(page.locator(".live").get_attribute("data-time"))
    w, v = path[min(t, len(path) - 1)], layers[min(t, len(layers) - 1)]
    across = deep * np.linalg.norm(v) ** (2 - 2 / at["depth"])
    cap = 2 / np.linalg.eigvalsh(objective.hessian(w)).max()
    compare("bars", np.array(rates) / [plain, at["depth"] * across or 1, across or 1, cap],
            [1, across > 0, across > 0, 1])  # fmt: skip
    return found


CASES = {
    "as it opens": {},
    "one layer": {"depth": 1, "steps": 2},
    "ℓ2, three layers": {"p": 2, "depth": 3, "steps": 2.5},
    "p = 2.5": {"p": 2.5, "depth": 2, "ratio": 5.5, "w1": -0.3, "w2": 0.72},
    "p = 3.3, four layers": {"p": 3.3, "depth": 4, "ratio": 3, "scale": 0.3},
    "ℓ6 from almost zero": {"p": 6, "depth": 3, "scale": -1.5, "ratio": 20},
    "from the far side": {"p": 4, "depth": 2, "ratio": 2, "w1": -1, "w2": -0.9, "rate": -0.6},
    "one rate for both": {"same": True, "depth": 3},
    "from zero": {"w1": 0, "w2": 0, "depth": 3},
    "near the edge of divergence": {"p": 4, "depth": 2, "rate": 0.3, "plain": 0.29},
    "p = 2.5, near the edge": {"p": 2.5, "depth": 4, "rate": 0.2, "plain": 0.25, "ratio": 6},
    "divergence": {"p": 4, "depth": 2, "rate": 0.7, "plain": 0.5},
    "slow divergence of one layer": {"p": 2, "depth": 1, "plain": 0.31, "rate": 0.31},
}
STEPS = 2.6  # 398 iterations at most: the plain trainer is slow


@pytest.fixture
def page(chromium, tmp_path):
    address = alone(tmp_path, "two-points.html", "charts.js", "play.js")
    with browser.visit(chromium, address, tmp_path.as_uri()) as here:
        yield here.page
        assert browser.console(here) + browser.outside(here) == []


@pytest.mark.parametrize("case", CASES)
def test_the_page_computes_what_the_library_computes(page, case):
    set_controls(page, {"steps": STEPS} | CASES[case])
    assert differences(page) == []


MUTATIONS = [
    ("(depth - 1) * dot(w, g)", "(depth - 1.000001) * dot(w, g)"),
    ("a - rate * dot(g, first)", "a + rate * dot(g, first)"),
    ("const TOLERANCE = 0.1;", "const TOLERANCE = 0.11;"),
    ("diverged = t + 1", "diverged = t"),
    ("along: run.depth * across", "along: across"),
]


@pytest.mark.parametrize(("line", "changed"), MUTATIONS, ids=[it[1] for it in MUTATIONS])
def test_one_changed_constant_or_sign_is_noticed(chromium, tmp_path, line, changed):
    script = (STATIC / "play.js").read_text(encoding="utf8")
    assert script.count(line) == 1
    changed = script.replace(line, changed)
    address = alone(tmp_path, "two-points.html", "charts.js", "play.js", play=changed)
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(address)
        for case in ("ℓ2, three layers", "divergence", "as it opens"):
            set_controls(page, {"steps": STEPS} | CASES[case])
            if differences(page):
                return
    pytest.fail("the changed script passes for the library")


# ---- the page as a reader uses it ----------------------------------------------------------------


def numbers(page):
    return read_numbers(page)[0]


def test_the_buttons_show_what_they_say(page):
    plain, layers, _ = numbers(page)
    assert layers["reached"] < plain["reached"]  # the paper's case
    press(page, "The same rate")
    plain, layers, rule = numbers(page)
    assert plain["rate"] == layers["rate"] == rule["rate"]
    press(page, "depth costs time")
    plain, layers, rule = numbers(page)
    assert plain["reached"] < min(layers["reached"], rule["reached"])
    press(page, "Depth diverges")
    plain, layers, rule = numbers(page)
    assert plain["diverged"] is None and layers["diverged"] and rule["diverged"]
    summary = page.locator("[data-part=summary]")
    summary.filter(has_text=f"diverged at iteration {layers['diverged']:,.0f}").wait_for()
    press(page, "The layers leave")
    assert page.locator("path.run.rule").count() == 4  # faint and bright, in two charts
    _, layers, rule = numbers(page)
    assert layers["reached"] != rule["reached"]
    press(page, "Reset")
    assert read_controls(page)["p"] == 4 and page.locator("path.run.rule").count() == 0


def press(page, text):
    page.eval_on_selector_all("details", "all => all.forEach(it => (it.open = true))")
    page.click(f"button:has-text('{text}')")
    page.wait_for_timeout(60)


def test_the_iterations_go_on_until_both_have_arrived(page):
    for case in ({}, {"p": 2, "depth": 3}, {"p": 3, "ratio": 12}):
        set_controls(page, case)
        rows, steps = numbers(page), read_controls(page)["steps"]
        last = max(row["reached"] for row in rows)
        assert last < steps < 1.2 * last + 11, case


def test_play_pause_and_scrub(page):
    time, play = page.locator("[data-part=time]"), page.locator("[data-part=play]")
    steps = read_controls(page)["steps"]
    time.fill("0")
    assert page.locator("[data-part=when]").inner_text() == f"iteration 0 of {steps:,}"
    bar = page.locator(".bar").nth(1)
    before = float(bar.get_attribute("data-rate"))
    play.click()
    page.wait_for_function("document.querySelector('[data-part=time]').valueAsNumber > 0.3")
    assert play.inner_text() == "Pause" and float(bar.get_attribute("data-rate")) > before
    play.click()
    stopped = time.input_value()
    page.wait_for_timeout(200)
    assert play.inner_text() == "Play" and time.input_value() == stopped
    time.focus()
    page.keyboard.press("ArrowLeft")
    assert float(time.input_value()) < float(stopped)


def test_the_keyboard_moves_every_slider(page):
    page.eval_on_selector_all("details", "all => all.forEach(it => (it.open = true))")
    for name in ("p", "ratio", "depth", "rate", "plain", "w1", "w2", "scale", "steps"):
        slider = page.locator(f"input[name={name}]")
        said, before = slider.get_attribute("aria-valuetext"), page.inner_html("[data-part=plane]")
        slider.focus()
        page.keyboard.press("ArrowLeft")
        assert slider.get_attribute("aria-valuetext") != said
        assert page.inner_html("[data-part=plane]") != before or name == "steps"
        label = slider.evaluate("it => it.labels[0].textContent")
        assert page.get_by_label(label, exact=True).count() == 1
    page.check("input[name=same]")
    assert page.is_disabled("input[name=plain]")
