"""The published report in a browser without scripts: it fits, is whole, and asks nobody."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT

REPORT = ROOT / "outputs" / "reference" / "report.html"
LARGEST = 5_000_000  # bytes


@pytest.fixture(params=[400, 1400])
def page(chromium, request):
    """The report in a window that is so many pixels wide, with what it asked for."""
    context = chromium.new_context(
        java_script_enabled=False, viewport={"width": request.param, "height": 900}
    )
    page = context.new_page()
    page.asked = []
    page.on("request", lambda each: page.asked.append(each.url))
    page.goto(REPORT.as_uri())
    yield page
    context.close()


def test_it_fits_the_window(page):
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]


def test_it_asks_no_other_host(page):
    others = [url for url in page.asked if not url.startswith(("file:", "data:"))]
    assert others == []


def test_all_its_pictures_are_there_and_described(page):
    images = page.locator("img")
    assert images.count() > 10
    for image in images.all():
        assert image.evaluate("each => each.naturalWidth > 0")
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
