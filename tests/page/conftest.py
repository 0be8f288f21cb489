"""Fixtures: the page of `emberlite serve` in a headless Chromium, which must have nothing to complain about."""

import shutil

import pytest
from playwright.sync_api import Page, sync_playwright

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def browser():
    """A Chromium that is installed; playwright's own is not downloaded."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        pytest.skip("no Chromium is installed here, so the page is not tested: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, request):
    """Opens the page of `server`, else of `served`, at a model: `width` by `height`; `before` sees it before it loads."""
    opened = []

    def start(model: str = "", width: int = 1280, height: int = 800, before=None, server=None, **options) -> Page:
        server = server or request.getfixturevalue("served")
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(15_000)
        opened.append(context)
        page = context.new_page()
        page.complaints, page.requested = [], []
        page.on("console", lambda message: message.type in ("error", "warning") and page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requested.append(request.url))
        if before:
            before(page)
        page.goto(f"{server.url}/?model={model}" if model else f"{server.url}/")
        return page

    yield start
    for context in opened:
        context.close()
