"""A real browser: an installed chromium, or the one that CHROMIUM names."""

from __future__ import annotations

import os
import shutil

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def chromium():
    """A browser without a window; where there is no browser, its tests are skipped."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or set CHROMIUM=PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"],
            timeout=120_000,  # milliseconds: other tests may run beside these
        )
        yield browser
        browser.close()
