"""A Chromium for the tests of pages; without one, or without playwright, these are skipped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium(driver):
    """Path of a Chromium: UNIBIO_CHROMIUM, one that is installed, or playwright's own; None where there is none."""
    found = [os.environ.get("UNIBIO_CHROMIUM"), *map(shutil.which, NAMES), driver.chromium.executable_path]
    return next((path for path in found if path and Path(path).is_file()), None)


@pytest.fixture(scope="module")
def browser():
    reason = "the page is looked at through playwright"
    with pytest.importorskip("playwright.sync_api", reason=reason).sync_playwright() as driver:
        path = chromium(driver)
        if path is None:
            pytest.skip("no Chromium here: apt install chromium, playwright install chromium, or UNIBIO_CHROMIUM=PATH")
        browser = driver.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens a page; at the end nothing may have been complained of or asked from outside."""
    contexts, complaints, requests, beside = [], [], [], []

    def open_page(path: Path, width: int = 1400, scheme: str = "light", anchor: str = "", files: int = 0, **options):
        beside.append(files)
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url[:200]))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.resolve().as_uri() + anchor)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url[:200] for url in requests if not url.startswith(("data:", "file:"))] == []
    files = len([url for url in requests if url.startswith("file:")])
    assert files == len(contexts) + sum(beside), "the page is one file, unless pictures beside it are expected"
