"""The page for models of texts: labels as bars, how alike sentences are as a table, texts in the order of a reranker."""

import pytest
from playwright.sync_api import Page, expect

from page_steps import overflow, press_tab_to, ready


@pytest.fixture
def open_text_page(open_page, serve, text_store):
    """Opens the page of `emberlite serve` over a store with a model of each kind."""
    server = serve(text_store)
    return lambda model, **options: ready(open_page(model, server=server, **options))


def answered(page: Page, action: str, act) -> dict:
    """Does `act` and answers what the server says to it, once the page shows it."""

    def is_answer(response) -> bool:
        return response.request.method == "POST" and response.url.endswith(action)

    with page.expect_response(is_answer) as waiting:
        act()
    expect(page.locator("#result")).not_to_have_attribute("aria-busy", "true")
    return waiting.value.json()


def submit(page: Page):
    return page.locator("#predict").click


def test_the_demo_classifier_shows_its_labels_as_bars_the_best_first(open_page):
    page = ready(open_page("intents"))
    expect(page.locator("#answer .label strong")).to_have_text("card_arrival")
    page.get_by_label("Text", exact=True).fill("Someone stole my phone")
    answer = answered(page, "/classify", submit(page))
    assert answer["predicted_label"] == "lost_or_stolen_phone"
    expect(page.locator("#answer .label strong")).to_have_text("lost_or_stolen_phone")
    expect(page.locator("#answer .bars .winner .name")).to_have_text("lost_or_stolen_phone")
    names = page.locator("#answer .bars .name").all_text_contents()
    assert names == list(answer["probabilities"]) and len(names) == 77
    assert page.complaints == []


def test_every_example_of_the_demo_classifier_is_answered(open_page):
    page = ready(open_page("intents"))
    examples = page.get_by_role("group", name="Examples").get_by_role("button")
    assert examples.count() >= 3
    for index in reversed(range(examples.count())):
        answer = answered(page, "/classify", examples.nth(index).click)
        expect(page.locator("#answer .label strong")).to_have_text(answer["predicted_label"])
        expect(examples.nth(index)).to_have_attribute("aria-pressed", "true")


def test_the_curl_line_classifies_the_text_shown(open_page):
    page = ready(open_page("intents"))
    line = page.locator("#curl").text_content()
    assert "/models/intents/classify" in line and "card" in line


def test_an_empty_text_is_said_at_the_field(open_page):
    page = ready(open_page("intents"))
    field = page.get_by_label("Text", exact=True)
    field.fill("  ")
    page.locator("#predict").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#text-problem")).to_have_text("Write a text to classify.")


def test_a_text_is_classified_by_keyboard_alone(open_page):
    page = ready(open_page("intents"))
    press_tab_to(page, "#text-first")
    page.keyboard.press("Control+A")
    page.keyboard.type("please close my account")
    press_tab_to(page, "#predict")
    answer = answered(page, "/classify", lambda: page.keyboard.press("Enter"))
    assert answer["predicted_label"] == "terminate_account"


@pytest.mark.parametrize("model", ["sentences", "likeness"])
def test_a_phone_shows_sentences_and_texts_without_scrolling_sideways(open_text_page, model):
    page = open_text_page(model, width=360, height=740)
    assert overflow(page) <= 0
    assert page.complaints == []


def test_a_phone_shows_long_labels_without_scrolling_sideways(open_page):
    assert overflow(ready(open_page("intents", width=360, height=740))) <= 0


def test_sentences_are_compared_in_a_table_of_cosines(open_text_page):
    page = open_text_page("sentences")
    lines = page.get_by_role("textbox")
    count = lines.count()
    assert count >= 3
    lines.nth(0).fill("the same words")
    lines.nth(1).fill("the same words")
    answered(page, "/embeddings", submit(page))
    cells = page.locator("#answer .matrix tbody tr").nth(0).locator("td")
    expect(cells).to_have_count(count)
    expect(cells.nth(1)).to_have_text("1.00")
    expect(page.locator("#answer .label strong")).to_have_text("1 and 2")


def test_sentences_are_added_and_removed(open_text_page):
    page = open_text_page("sentences")
    count = page.get_by_role("textbox").count()
    page.get_by_role("button", name="Add a sentence").click()
    page.get_by_label(f"sentence {count + 1}", exact=True).fill("One more.")
    page.get_by_role("button", name="Remove sentence 1", exact=True).click()
    answer = answered(page, "/embeddings", submit(page))
    assert len(answer["data"]) == count
    expect(page.locator("#answer .matrix tbody tr")).to_have_count(count)


def test_one_sentence_alone_is_nothing_to_compare(open_text_page):
    page = open_text_page("sentences")
    for line in page.get_by_role("textbox").all()[1:]:
        line.fill("")
    page.locator("#predict").click()
    expect(page.get_by_label("sentence 2", exact=True)).to_have_attribute("aria-invalid", "true")


def test_texts_are_sorted_by_how_well_they_answer(open_text_page):
    page = open_text_page("relevance")
    page.get_by_label("Query").fill("Where is my card?")
    ranks = answered(page, "/rerank", submit(page))
    assert [rank["score"] for rank in ranks] == sorted((rank["score"] for rank in ranks), reverse=True)
    texts = [box.input_value() for box in page.locator(".lines input").all()]
    expect(page.locator("#answer .bars .name")).to_have_text([texts[rank["index"]] for rank in ranks])
