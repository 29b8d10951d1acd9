"""The report in a browser without scripts: it fits, is complete, and fetches nothing."""

from __future__ import annotations

import itertools

import nbformat
import pytest
from nbformat import v4

from eta_utils.report.page import render_notebook
from tests.conftest import ROOT

REPORT = ROOT / "outputs" / "reference" / "report.html"
LARGEST = 5_000_000  # bytes


TALLEST = {1400: 9_000, 800: 11_000, 400: 13_000}  # pixels, with folds closed
MOST_WORDS = 4_500
OPEN_ALL = "document.querySelectorAll('details').forEach(fold => fold.open = true)"
# Tables, and boxes of programs, of which a part lies outside what is drawn of them.
CROPPED = """() => [...document.querySelectorAll('table, pre')].filter(part => {
  if (!part.getBoundingClientRect().width) return false;
  if (part.scrollWidth > part.clientWidth + 1) return true;
  for (let box = part.parentElement; box; box = box.parentElement)
    if (box.scrollWidth > box.clientWidth + 1) return true;
  return false;
}).map(part => part.textContent.slice(0, 200))"""


@pytest.fixture(params=[400, 800, 1400])
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


def test_it_is_read_in_minutes(page):
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height <= TALLEST[page.viewport_size["width"]]
    assert len(page.inner_text("body").split()) <= MOST_WORDS


def test_no_table_and_no_program_is_cropped(page):
    page.evaluate(OPEN_ALL)
    assert page.evaluate(CROPPED) == []


def test_in_print_no_table_is_cropped(page):
    """Paper is narrower than most windows, and nobody can scroll it."""
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 1000})  # A4 without its margins
    assert page.locator("nav").is_hidden()
    assert page.evaluate(CROPPED) == []


def test_headings_step_down_one_level_at_a_time(page):
    """So that those who hear the page can find their way."""
    page.evaluate(OPEN_ALL)
    names = page.eval_on_selector_all(
        "h1, h2, h3, h4, h5, h6", "all => all.map(h => h.tagName)"
    )
    levels = [int(name[1]) for name in names]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_box_that_scrolls_can_be_reached_with_the_keyboard(page):
    page.evaluate(OPEN_ALL)
    unreached = """() => [...document.querySelectorAll('main *')].filter(box =>
      box.scrollWidth > box.clientWidth + 1 && box.tabIndex < 0
      && getComputedStyle(box).overflowX === 'auto').length"""
    assert page.evaluate(unreached) == 0


def test_it_fetches_nothing(page):
    others = [url for url in page.requested if not url.startswith(("file:", "data:"))]
    assert others == []


def test_all_its_pictures_are_there_and_described(page):
    images = page.locator("img")
    assert images.count() > 10
    for image in images.all():
        assert image.evaluate("image => image.naturalWidth > 0")
        assert image.get_attribute("alt")


def test_it_begins_with_the_answer_a_pair_of_programs_and_the_tests(page):
    lead, folds = page.locator(".lead"), page.locator("details.chapter")
    assert "ETA-DPO" in lead.inner_text()
    assert lead.locator(".pair").count() == 1
    assert lead.locator("img").count() == 2
    assert lead.locator("table.dataframe").count() == 2
    assert lead.bounding_box()["y"] < folds.first.bounding_box()["y"]


def test_a_chapter_opens_where_the_contents_lead(page):
    chapter = page.locator("details.chapter").nth(1)
    assert not chapter.locator("article").is_visible()
    page.locator(f"nav a[href='#{chapter.get_attribute('id')}']").click()
    chapter.locator("summary").first.click()
    assert chapter.locator("article").is_visible()


def test_code_is_folded_away_but_reachable(page):
    page.locator("details.chapter > summary").first.click()
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
