"""What the tests of the page do to it, and what they wait for."""

import json

from playwright.sync_api import Page, expect


def is_prediction(response) -> bool:
    return response.request.method == "POST" and response.url.endswith("/predict")


def predicted(page: Page, act) -> dict:
    """Does `act` and answers the prediction that it leads to, once the page shows it."""
    with page.expect_response(is_prediction) as waiting:
        act()
    answer = waiting.value.json()
    if "predicted_label" in answer:
        expect(page.locator("#answer .label strong")).to_have_text(answer["predicted_label"])
    expect(page.locator("#result")).not_to_have_attribute("aria-busy", "true")
    return answer


def ready(page: Page) -> Page:
    """The page after the first example was predicted."""
    expect(page.locator("#answer .label strong")).to_be_visible()
    expect(page.locator("#result")).not_to_have_attribute("aria-busy", "true")
    return page


def answers(body, status: int = 200):
    """A route that answers with this JSON."""
    return lambda route: route.fulfill(status=status, content_type="application/json", body=json.dumps(body))


def overflow(page: Page) -> int:
    """How many pixels the page is wider than the screen."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def press_tab_to(page: Page, selector: str) -> None:
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")
