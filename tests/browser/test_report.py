"""The report in a browser without scripts: it fits, is complete, and fetches nothing."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import v4

from eta_utils.report.page import render_notebook
from tests.conftest import ROOT

REPORT = ROOT / "outputs" / "reference" / "report.html"
LARGEST = 5_000_000  # bytes


@pytest.fixture(params=[400, 1400])
def window(chromium, request):
    """A window of so many pixels' width without a page; `requested` lists its requests."""
    context = chromium.new_context(
        java_script_enabled=False, viewport={"width": request.param, "height": 900}
    )
    window = context.new_page()
    window.requested = []
    window.on("request", lambda request: window.requested.append(request.url))
    yield window
    context.close()


@pytest.fixture
def page(window):
    """The published report."""
    window.goto(REPORT.as_uri())
    return window


def test_it_fits_the_window(page):
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]


def test_it_fetches_nothing(page):
    others = [url for url in page.requested if not url.startswith(("file:", "data:"))]
    assert others == []


def test_all_its_pictures_are_there_and_described(page):
    images = page.locator("img")
    assert images.count() > 10
    for image in images.all():
        assert image.evaluate("image => image.naturalWidth > 0")
        assert image.get_attribute("alt")


def test_the_answer_is_seen_before_the_first_chapter(page):
    summary, chapter = page.locator(".summary"), page.locator("h2").first
    assert "ETA-DPO" in summary.inner_text()
    assert summary.locator("img").count() == 1
    assert summary.bounding_box()["y"] < chapter.bounding_box()["y"]


def test_code_is_folded_away_but_reachable(page):
    folded = page.locator("details.code").first
    code = folded.locator("pre")
    assert not code.is_visible()
    folded.locator("summary").click()
    assert code.is_visible()


def test_it_is_small_enough_to_send():
    assert REPORT.stat().st_size < LARGEST


def test_formulas_are_mathematics_and_fit_the_window(window, tmp_path):
    """Those of the notebooks fit the narrow window; a wide one scrolls in its own box."""
    wide = "$$" + " + ".join(f"x_{{{number}}}" for number in range(60)) + "$$"
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(wide)])
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        notebook.cells += [cell for cell in cells if cell.cell_type == "markdown"]
    nbformat.write(notebook, tmp_path / "formulas.ipynb")
    window.goto(render_notebook(tmp_path / "formulas.ipynb").as_uri())
    assert window.get_by_role("math").count() == window.locator("math").count() > 10
    first, *others = window.locator(".formula").all()
    overflow = "box => box.scrollWidth - box.clientWidth"
    assert first.evaluate(overflow) > 0
    assert [box.evaluate(overflow) for box in others] == [0] * len(others)
    width = window.evaluate("document.documentElement.scrollWidth")
    assert width <= window.viewport_size["width"]
