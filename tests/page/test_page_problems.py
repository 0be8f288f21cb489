"""The page at `/` when something is wrong: it says what, in words, at the place, and what to do."""

import re

from playwright.sync_api import Page, expect

from page_steps import answers, ready


def test_a_missing_value_is_told_in_words_and_at_its_field(open_page):
    page = ready(open_page("diagnosis"))
    field = page.get_by_label("mean texture", exact=True)
    field.fill("")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("A value is missing")
    expect(page.locator("#answer")).to_contain_text("mean texture")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text("A value is missing")
    field.fill("17")
    expect(field).to_have_attribute("aria-invalid", "false")
    expect(page.locator("#answer .bars")).to_be_visible()


def test_a_refusal_says_what_was_expected_and_what_came(open_page):
    page = ready(open_page("diagnosis"))
    page.get_by_role("button", name="JSON").click()
    page.get_by_role("textbox", name="Input as JSON").fill("[1, 2]")
    expect(page.locator("#answer .failure")).to_contain_text("The shape does not fit")
    expect(page.locator("#answer .failure dd")).to_have_text([re.compile("30 values"), re.compile("a list of 2")])


def test_broken_json_is_told_without_asking_the_server(open_page):
    page = ready(open_page("diagnosis"))
    page.get_by_role("button", name="JSON").click()
    asked = len(page.requested)
    page.get_by_role("textbox", name="Input as JSON").fill('{"mean radius": ')
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("This is not valid JSON")
    assert len(page.requested) == asked


def test_a_server_that_is_gone_is_told_in_words(open_page):
    page = ready(open_page("diagnosis"))
    page.route("**/predict", lambda route: route.abort())
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("The server does not answer")


def test_an_empty_store_says_what_to_do(open_page):
    page = open_page(before=lambda page: page.route("**/models", answers({"models": []})))
    expect(page.get_by_role("heading", name="There is no model here yet")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("emberlite push")
    page.unroute("**/models")
    page.get_by_role("button", name="Look again").click()
    ready(page)


def test_names_and_texts_from_a_model_are_never_markup(open_page):
    evil = "<img src=x onerror=alert(1)>"
    described = {
        "name": "evil", "digest": "0" * 64, "task": "predict", "description": evil, "licence": evil, "labels": [evil],
        "inputs": [{"name": evil, "dtype": "FP32", "shape": ["N", 1]}], "outputs": [], "image": None, "package_bytes": 1,
        "features": [{"name": evil, "input": evil, "dtype": "FP32", "unit": evil, "choices": {}}],
        "examples": [{"title": evil, "input": {evil: 1}}],
    }

    def before(page: Page) -> None:
        page.route("**/models", answers({"models": [{"name": "evil", "loaded": True, "default": False}]}))
        page.route("**/models/evil", answers(described))
        answer = {"model": "evil", "predicted_label": evil, "probabilities": {evil: 1}, "outputs": {evil: evil}}
        page.route("**/models/evil/predict", answers(answer))

    page = ready(open_page(before=before))
    expect(page.locator("#answer .label strong")).to_have_text(evil)
    expect(page.locator("#model img")).to_have_count(0)
    assert page.complaints == []
