"""The talk: its figures and numbers are those of the executed chapters, or it is not written."""

import browser
import nbformat
import pytest

from report import slides

SVG = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.fixture
def folder(tmp_path):
    glued = nbformat.v4.new_output(
        "display_data",
        {"application/papermill.record/text/plain": "1.714"},
        metadata={"scrapbook": {"name": "speedup", "mime_prefix": "application/papermill.record/"}},
    )
    drawn = nbformat.v4.new_output("display_data", {"image/svg+xml": SVG})
    cell = nbformat.v4.new_code_cell("", outputs=[glued, drawn])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "20-x.ipynb")
    slides._outputs.cache_clear()
    return tmp_path


def test_a_slide_has_the_chapter_s_number_and_figure(folder):
    text = "# A <title>\n{20-x:speedup:.2f} times\n![words](20-x#1)\nNotes:\nsay it\n---\n# Two"
    made = slides.deck(text, folder)
    assert made.count("<section>") == 2 and "<p>1.71 times</p>" in made
    assert '<img alt="words" src="data:image/svg+xml;base64,' in made
    assert "<aside>say it</aside>" in made and "A &lt;title&gt;" in made
    assert "http://" not in made and "https://" not in made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{20-x:gain}", "glues no 'gain'; it has speedup"),
        ("![words](20-x#2)", "has 1 figures: there is no figure 2"),
        ("{21-y:speedup}", "'21-y' is not executed"),
    ],
)
def test_what_is_not_there_is_named(folder, text, said):
    with pytest.raises(slides.SlideError, match=said):
        slides.deck(f"# Title\n{text}", folder)


def test_the_deck_is_read_with_the_keyboard_and_needs_nothing_else(chromium, folder):
    text = "# One\n![a figure of something](20-x#1)\nNotes:\nsay it\n---\n# Two\nthe end"
    path = folder / "slides.html"
    path.write_text(slides.deck(text, folder), encoding="utf8")
    with browser.visit(chromium, path.as_uri(), path.as_uri()) as here:
        seen = []
        for key in ("n", "ArrowRight", "ArrowRight", "ArrowLeft"):
            seen.append(here.page.inner_text("main"))
            here.page.keyboard.press(key)
            # the slide changes with the address, which the browser tells a moment later
            here.page.evaluate("new Promise(told => setTimeout(told, 100))")
        assert "say it" not in seen[0] and "say it" in seen[1]
        assert seen[0].startswith("One") and seen[2].startswith("Two") and seen[3] == seen[2]
        assert here.page.inner_text("main").startswith("One")
        found = browser.accessibility(here, "light", 1440) + browser.accessibility(
            here, "dark", 360
        )
        assert found + browser.console(here) + browser.outside(here) == []
