"""The page to play with, driven in a browser: its numbers are the library's."""

import csv
import io
from pathlib import Path

import browser
import numpy as np
import pytest
from test_browser import HTML, ROOT, built

from accel_core import theory
from accel_core.initializers import Initializer, factor_balanced
from accel_core.problem import Problem
from accel_core.training import Run, train
from report import figures

TOLERANCE = 0.1  # of the page's target
SCRIPT = ROOT / "book" / "static" / "play.js"


class Product(Initializer):
    """A balanced start with a given end-to-end vector."""

    def __init__(self, w):
        self.w = w

    def __call__(self, sizes, rng):
        return factor_balanced(self.w[None, :], sizes, rng)


def set_controls(page, values):
    """Moves the page's controls; each must take the value, which a step of a slider might not."""
    page.click("button[type=reset]")
    page.wait_for_timeout(20)
    for name, value in values.items():
        if name == "same":
            page.check("input[name=same]")
        else:
            slider = page.locator(f"input[name={name}]")
            slider.fill(str(value))
            assert float(slider.input_value()) == value, (name, value)


def read_controls(page):
    """What the controls stand at, logarithmic ones as the numbers that they mean."""
    said = page.eval_on_selector_all(
        "input[type=range]",
        "all => all.map(it => [it.name, it.valueAsNumber, 'log' in it.dataset])",
    )
    at = {name: 10**value if log else value for name, value, log in said}
    return at | {"same": page.is_checked("input[name=same]"), "depth": int(at["depth"])}


def read_numbers(page):
    """(rows of the table, curves of the file, needles) as the page has them."""
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
    needles = page.eval_on_selector_all(
        ".needle", "all => all.map(it => [it.classList[1], it.dataset.w, it.dataset.field])"
    )
    return rows, {name: np.array(curve) for name, curve in curves.items()}, needles


def library(at):
    """What `accel_core` makes of the controls: for each model rate, path, losses and events."""
    start, steps = at["scale"] * np.array([at["w1"], at["w2"]]), round(at["steps"])
    problem = theory.TwoPoints(
        at["ratio"],
        at["p"],
        start=np.hypot(*start) / np.sqrt(2),
        angle=np.degrees(np.arctan2(start[1], start[0])),
        tolerance=TOLERANCE,
        horizon=steps,
    )
    deep = at["rate"] * theory.monotone_rate(problem, at["depth"])
    plain = deep if at["same"] else at["plain"] * theory.monotone_rate(problem, 1)
    labels = np.array([at["ratio"], 1.0])
    objective = theory.Separable(labels, at["p"])
    # the library's loss is a mean of two rows without 1/p: 2/p of it is the page's
    run = Run(at["depth"], start=Product(start), rate=deep * 2 / at["p"])
    (trained,) = train(
        Problem(np.eye(2), labels, at["p"]),
        [run],
        steps,
        record_at=range(steps + 1),
        engine="torch",
    )
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
    rows, curves, needles = read_numbers(page)
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
    for name, *texts in needles:
        w, field = (np.array(text.split(","), float) for text in texts)
        depth = int(name.removeprefix("depth-"))
        wanted = theory.single_output_field(w, objective.gradient(w), depth)
        compare("needle", field / np.linalg.norm(wanted), wanted / np.linalg.norm(wanted))
    assert len(needles) == 2 * 11 * 9
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
STEPS = 2.6  # 398 iterations: the plain trainer is slow


@pytest.fixture
def page(chromium):
    with browser.visit(chromium, built("play").as_uri(), HTML.as_uri()) as here:
        yield here.page
        assert browser.console(here) + browser.outside(here) == []


@pytest.mark.parametrize("case", CASES)
def test_the_page_computes_what_the_library_computes(page, case):
    set_controls(page, {"steps": STEPS} | CASES[case])
    assert differences(page) == []


MUTATIONS = [
    ("(depth - 1) * dot(w, g)", "(depth - 1.000001) * dot(w, g)"),
    ("square ** (1 - 1 / depth)", "square ** (1 - 1.000001 / depth)"),
    ("Math.sign(r) * Math.abs(r)", "Math.abs(r)"),
    ("return [w[0] - rate * f[0]", "return [w[0] + rate * f[0]"),
    ("a - rate * dot(g, first)", "a + rate * dot(g, first)"),
    ("norm ** (1 / depth)", "norm ** (1.000001 / depth)"),
    ("(Math.abs(r[0]) ** problem.p +", "(Math.abs(r[0]) ** problem.p -"),
    ("a = 2 - 2 / depth", "a = 2 - 2.000001 / depth"),
    ("problem.y[0] ** -(problem.p", "problem.y[0] ** -(1.000001 * problem.p"),
    ("const TOLERANCE = 0.1;", "const TOLERANCE = 0.11;"),
    ("const BOUND = 4;", "const BOUND = 0.9;"),
    ("diverged = t + 1", "diverged = t"),
]


@pytest.mark.parametrize(("line", "changed"), MUTATIONS, ids=[it[1] for it in MUTATIONS])
def test_one_changed_constant_or_sign_is_noticed(chromium, line, changed):
    script = SCRIPT.read_text(encoding="utf8")
    assert script.count(line) == 1
    with chromium.new_context() as context:
        context.route(
            "**/play.js*",
            lambda route: route.fulfill(
                body=script.replace(line, changed), content_type="text/javascript"
            ),
        )
        page = context.new_page()
        page.goto(built("play").as_uri())
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
    page.click("text=The same rate")
    page.wait_for_timeout(50)
    plain, layers, rule = numbers(page)
    assert plain["rate"] == layers["rate"] == rule["rate"]
    page.click("text=depth hurts")
    page.wait_for_timeout(50)
    plain, layers, rule = numbers(page)
    assert plain["reached"] < min(layers["reached"], rule["reached"])
    page.click("text=Depth diverges")
    page.wait_for_timeout(50)
    plain, layers, rule = numbers(page)
    assert plain["diverged"] is None and layers["diverged"] and rule["diverged"]
    summary = page.locator("[data-part=summary]")
    summary.filter(has_text=f"diverged at iteration {rule['diverged']:.0f}").wait_for()
    assert page.locator(".cross").count() == 4  # two models, two pictures
    page.click("text=The layers leave")
    page.wait_for_timeout(50)
    _, layers, rule = numbers(page)
    assert layers["reached"] != rule["reached"]
    page.click("text=Reset")
    page.wait_for_timeout(50)
    assert read_controls(page)["p"] == 4 and numbers(page)[0]["diverged"] is None


def test_the_sentence_compares_layers_and_rule_with_one_layer(page):
    summary = page.locator("[data-part=summary]")
    for button, word in (("Reset", "fast"), ("depth hurts", "slower")):
        page.click(f"text={button}")
        page.wait_for_timeout(50)
        plain, layers, rule = (row["reached"] for row in numbers(page))
        said = [
            f"{who} {max(plain / it, it / plain):.4g} times {'as fast' if word == 'fast' else word}"
            for who, it in (("its layers are", layers), ("the rule is", rule))
        ]
        summary.filter(has_text=f"Against depth 1, {'; '.join(said)}.").wait_for()
    page.click("text=Depth diverges")  # nothing to compare
    summary.filter(has_text="diverged").wait_for()
    assert "Against" not in summary.inner_text()


def test_the_keyboard_moves_every_slider(page):
    for name in ("p", "ratio", "depth", "rate", "plain", "w1", "w2", "scale", "steps"):
        slider = page.locator(f"input[name={name}]")
        said, before = slider.get_attribute("aria-valuetext"), page.inner_html("[data-part=plane]")
        slider.focus()
        page.keyboard.press("ArrowLeft")
        assert slider.get_attribute("aria-valuetext") != said
        assert page.inner_html("[data-part=plane]") != before or name == "steps"
        assert (
            page.get_by_label(slider.evaluate("it => it.labels[0].textContent"), exact=True).count()
            == 1
        )
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.is_checked("input[name=same]") and page.is_disabled("input[name=plain]")


def test_the_colours_are_those_of_the_figures(page):
    for depth in (1, 2, 3, 4):
        page.locator("input[name=depth]").fill(str(depth))
        colour = page.locator(f".needle.depth-{depth}").first.evaluate(
            "it => getComputedStyle(it).getPropertyValue('--colour')"
        )
        assert colour.lower() == figures.depth_colour(depth).lower()
