"""The page for language models: a conversation or a text, token by token, with a stop button and how fast it went."""

import json
import re
import shutil
import subprocess

import pytest
from playwright.sync_api import Page, expect

from page_steps import overflow, press_tab_to
from support.processes import ROOT, wait_until
from support.stand_in import TALE, StandIn

NUMBER = re.compile(r"^[\d.]+ tokens/s$")


@pytest.fixture
def stand_in():
    """A server whose streams are as awkward as a test wants."""
    server = StandIn()
    yield server
    server.stop()


@pytest.fixture
def storyteller(request):
    """`emberlite serve` where the demo model is packed, else the stand-in."""
    is_packed = (ROOT / "models/storyteller/current.json").is_file()
    return request.getfixturevalue("served" if is_packed else "stand_in")


@pytest.fixture
def open_storyteller(open_page, storyteller):
    return lambda **options: opened(open_page("storyteller", server=storyteller, **options))


@pytest.fixture
def open_stand_in(open_page, stand_in):
    return lambda model="storyteller", **options: opened(open_page(model, server=stand_in, **options))


def opened(page: Page) -> Page:
    expect(page.locator("#predict")).to_be_visible()
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def go_on(page: Page, prompt: str) -> None:
    page.get_by_role("button", name="Completion").click()
    page.get_by_label("Beginning of the text").fill(prompt)
    page.get_by_role("button", name="Continue").click()


def finished(page: Page) -> Page:
    """The page once an answer is over."""
    expect(page.locator("#timing")).to_contain_text(re.compile("Finish(stop|length|broken)"))
    expect(page.locator("#predict")).to_be_visible()
    return page


def setting(page: Page, name: str):
    details = page.locator("details.sampling")
    if not details.evaluate("details => details.open"):
        details.locator("summary").click()
    return page.get_by_label(name, exact=True)


def sent(page: Page, act) -> dict:
    """The body of the request that `act` leads to."""
    with page.expect_request(lambda request: request.method == "POST") as waiting:
        act()
    return waiting.value.post_data_json


# Conversations and texts


def test_a_message_is_answered_in_the_conversation_with_its_figures(open_storyteller):
    page = open_storyteller()
    say(page, "Tell me a story about the Lion.")
    finished(page)
    expect(page.locator(".log .user p")).to_have_text("Tell me a story about the Lion.")
    expect(page.locator(".log .assistant p")).to_have_text(re.compile(r"\w+ \w+"))
    expect(page.get_by_label("Message")).to_have_value("")
    figures = page.locator("#timing")
    expect(figures.locator(".speed")).to_have_text(NUMBER)
    expect(figures).to_contain_text(re.compile(r"First token[\d.]+ msTokens\d+Prompt\d+"))
    assert page.complaints == []


def test_the_next_message_is_sent_with_what_was_said_before(open_storyteller):
    page = open_storyteller()
    say(page, "Tell me a story about the Lion.")
    finished(page)
    answer = page.locator(".log .assistant p").text_content()
    body = sent(page, lambda: say(page, "And then?"))
    assert body["messages"] == [
        {"role": "user", "content": "Tell me a story about the Lion."},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "And then?"},
    ]
    finished(page)
    expect(page.locator(".log li")).to_have_count(4)


def test_a_system_prompt_comes_first_and_is_left_out_when_empty(open_storyteller):
    page = open_storyteller()
    page.locator("details.system summary").click()
    page.get_by_label("System prompt").fill("Be brief.")
    body = sent(page, lambda: say(page, "Hello"))
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    finished(page).get_by_role("button", name="Start over").click()
    expect(page.locator(".log")).to_be_hidden()
    page.get_by_label("System prompt").fill(" ")
    body = sent(page, lambda: say(page, "Hello"))
    assert body["messages"] == [{"role": "user", "content": "Hello"}]


def test_a_text_is_continued_and_can_be_gone_on_with(open_storyteller):
    page = open_storyteller()
    go_on(page, "It was very dark in the castle, and")
    finished(page)
    text = page.locator("#answer .made").text_content()
    assert text.startswith("It was very dark in the castle, and") and len(text) > 50
    expect(page.locator("#timing .speed")).to_have_text(NUMBER)
    page.get_by_role("button", name="Go on from here").click()
    expect(page.get_by_label("Beginning of the text")).to_have_value(text)
    assert page.complaints == []


def test_nothing_is_generated_before_somebody_asks(open_storyteller):
    page = open_storyteller()
    expect(page.get_by_label("Message")).not_to_have_value("")
    page.wait_for_timeout(400)
    assert [url for url in page.requested if "completions" in url] == []


def test_every_example_is_answered_in_its_view(open_storyteller):
    page = open_storyteller()
    examples = page.get_by_role("group", name="Examples").get_by_role("button")
    assert examples.count() >= 2
    for index in reversed(range(examples.count())):
        body = sent(page, examples.nth(index).click)
        finished(page)
        expect(examples.nth(index)).to_have_attribute("aria-pressed", "true")
        pressed = "Chat" if "messages" in body else "Completion"
        expect(page.get_by_role("button", name=pressed)).to_have_attribute("aria-pressed", "true")


# Settings and the curl line


def test_settings_go_along_and_empty_ones_stay_the_models_own(open_storyteller):
    page = open_storyteller()
    setting(page, "Max tokens").fill("16")
    setting(page, "Seed").fill("7")
    body = sent(page, lambda: say(page, "Hello"))
    assert (body["max_tokens"], body["seed"]) == (16, 7)
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}
    assert {"temperature", "top_p"}.isdisjoint(body)
    finished(page)
    setting(page, "Temperature").fill("0.5")
    setting(page, "Top p").fill("0.8")
    body = sent(page, lambda: say(page, "Hello"))
    assert (body["temperature"], body["top_p"]) == (0.5, 0.8)


def test_a_setting_that_makes_no_sense_is_told_at_its_field_and_not_sent(open_storyteller):
    page = open_storyteller()
    temperature = setting(page, "Temperature")
    temperature.fill("9")
    say(page, "Hello")
    expect(temperature).to_have_attribute("aria-invalid", "true")
    expect(temperature).to_be_focused()
    expect(page.locator("#answer .failure")).to_contain_text("Temperature must be a number from 0 to 2")
    assert [url for url in page.requested if "completions" in url] == []


def test_the_same_seed_tells_the_same_story(open_storyteller):
    page = open_storyteller()
    setting(page, "Seed").fill("3")
    setting(page, "Max tokens").fill("32")
    texts = []
    for _ in range(2):
        go_on(page, "Once upon a time")
        texts.append(finished(page).locator("#answer .made").text_content())
    assert texts[0] == texts[1]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_curl_line_streams_the_text_that_the_page_shows(open_storyteller):
    page = open_storyteller()
    setting(page, "Seed").fill("5")
    setting(page, "Max tokens").fill("24")
    go_on(page, "It's a café, said the king's cat,")
    shown = finished(page).locator("#answer .made").text_content()
    line = page.locator("#curl").text_content()
    assert line.startswith("curl -N ")
    ran = subprocess.run(["bash", "-c", line.replace("curl ", "curl -sSf ", 1)], capture_output=True, timeout=30, check=True)
    events = re.findall(r"^data: (.*?)\r?$", ran.stdout.decode(), re.MULTILINE)
    assert events[-1] == "[DONE]"
    pieces = [choice["text"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    assert "It's a café, said the king's cat," + "".join(pieces) == shown


# Every screen, every hand


@pytest.mark.parametrize("view", ["Chat", "Completion"])
def test_a_phone_shows_both_views_without_scrolling_sideways(open_storyteller, view):
    page = open_storyteller(width=360, height=740)
    page.get_by_role("button", name=view).click()
    for summary in page.locator("summary:visible").all():
        summary.click()
    box = page.locator("#message, #prompt")
    box.fill("A word " + "of a hundred letters" * 5)
    page.locator("#predict").click()
    finished(page)
    assert overflow(page) <= 0
    assert page.complaints == []


def test_a_story_is_told_by_keyboard_alone(open_storyteller):
    page = open_storyteller()
    press_tab_to(page, "#message")
    page.keyboard.press("Control+A")
    page.keyboard.type("Tell me about the Queen.")
    page.keyboard.press("Enter")
    finished(page)
    expect(page.locator(".log .user p")).to_have_text("Tell me about the Queen.")
    press_tab_to(page, ".toggle button:nth-child(2)")
    page.keyboard.press("Enter")
    press_tab_to(page, "#prompt")
    page.keyboard.type("Once upon a time")
    page.keyboard.press("Control+Enter")
    finished(page)
    expect(page.locator("#answer .made")).to_contain_text("Once upon a time")


def test_every_control_has_a_name(open_storyteller):
    page = open_storyteller()
    for view in ("Chat", "Completion"):
        page.get_by_role("button", name=view).click()
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        tree = page.locator("body").aria_snapshot()
        assert re.findall(r"^\s*- (?:button|link|textbox|spinbutton|list)(?::.*)?$", tree, re.MULTILINE) == [], tree


# Awkward streams


def test_a_text_in_awkward_pieces_is_shown_whole(open_stand_in):
    page = open_stand_in()
    say(page, "Tell me")
    expect(finished(page).locator(".log .assistant p")).to_have_text(TALE)
    expect(page.locator("#timing")).to_contain_text(f"Tokens{-(-len(TALE) // 4)}Prompt12Finishstop")
    go_on(page, "So: ")
    assert finished(page).locator("#answer .made").text_content() == f"So: {TALE}"


def test_an_answer_that_was_held_back_has_the_speed_of_the_whole(open_stand_in, stand_in):
    stand_in.behaviour = "at_once"
    page = open_stand_in()
    say(page, "Tell me")
    figures = finished(page).locator("#timing")
    expect(figures).to_contain_text("Arrivalall at once")
    figure = figures.locator(".speed").text_content()
    assert NUMBER.match(figure), figure
    first_token = float(re.search(r"First token([\d.]+) ms", figures.text_content())[1])
    tokens = -(-len(TALE) // 4)
    # Both figures are rounded as they are shown.
    assert float(figure.split()[0]) == pytest.approx(1000 * tokens / first_token, rel=0.05)


def test_events_are_the_same_wherever_the_stream_is_split(open_stand_in):
    stream = '\ufeff: hi\r\ndata: {"a":1}\r\n\r\ndata: x\ndata:y\n\nevent: error\rdata: é🐈\r\rdata\nid: 3\n\ndata: lost'
    expected = [
        {"type": "message", "data": '{"a":1}'},
        {"type": "message", "data": "x\ny"},
        {"type": "error", "data": "é🐈"},
        {"type": "message", "data": ""},
    ]
    odd = open_stand_in().evaluate(
        """async ([stream, expected]) => {
          const { EventParser } = await import(new URL('sse.js', document.baseURI).href);
          const odd = [];
          for (let first = 0; first <= stream.length; first += 1) {
            for (let second = first; second <= stream.length; second += 1) {
              const parser = new EventParser();
              const pieces = [stream.slice(0, first), stream.slice(first, second), stream.slice(second)];
              const events = JSON.stringify(pieces.flatMap((piece) => parser.push(piece)));
              if (events !== expected) odd.push([first, second, events]);
            }
          }
          return odd;
        }""",
        [stream, json.dumps(expected, separators=(",", ":"), ensure_ascii=False)],
    )
    assert odd == []


@pytest.mark.parametrize("by", ["button", "key"])
def test_stop_ends_the_answer_keeps_its_text_and_lets_the_server_go(open_stand_in, stand_in, by):
    stand_in.behaviour = "slow"
    page = open_stand_in()
    say(page, "Tell me")
    answer = page.locator(".log .assistant p")
    expect(answer).to_contain_text("Once there")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_focused()
    if by == "button":
        stop.click()
    else:
        page.keyboard.press("Escape")
    expect(page.locator("#timing")).to_contain_text("stopped by you")
    expect(page.get_by_role("button", name="Send")).to_be_focused()
    kept = answer.text_content()
    wait_until(lambda: stand_in.left, "the server sees that its client left")
    assert answer.text_content() == kept
    expect(page.locator("#answer .failure")).to_have_count(0)


def test_another_model_another_view_or_another_beginning_ends_the_answer(open_stand_in, stand_in):
    stand_in.behaviour = "slow"
    page = open_stand_in()
    for leave in (
        page.get_by_role("button", name="Start over").click,
        page.get_by_role("button", name="Completion").click,
        page.get_by_role("link", name="notes").click,
    ):
        before = stand_in.left
        say(page, "Tell me")
        expect(page.locator(".log .assistant p")).to_contain_text("Once")
        leave()
        wait_until(lambda: stand_in.left > before, "the server sees that its client left")
        expect(page.locator("#stop")).to_be_hidden()
        if page.get_by_role("button", name="Chat").is_visible():
            page.get_by_role("button", name="Chat").click()
            if page.get_by_role("button", name="Start over").is_visible():
                page.get_by_role("button", name="Start over").click()
    expect(page.locator("h1")).to_have_text("notes")
    expect(page.locator("#answer")).to_contain_text("The answer will be here")
    assert page.complaints == []


def test_a_refusal_is_told_plainly_and_gives_the_message_back(open_stand_in, stand_in):
    stand_in.behaviour = "refused"
    page = open_stand_in()
    say(page, "Far too long")
    expect(page.locator("#answer .failure")).to_contain_text("A text is too long")
    expect(page.locator("#answer .failure")).to_contain_text("The prompt has 600 tokens, the context 512.")
    expect(page.get_by_label("Message")).to_have_value("Far too long")
    expect(page.get_by_label("Message")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".log li")).to_have_count(0)


@pytest.mark.parametrize(
    ("behaviour", "title"), [("failing", "The model failed"), ("broken_off", "The answer broke off")]
)
def test_a_failure_in_the_middle_is_told_and_what_came_stays(open_stand_in, stand_in, behaviour, title):
    stand_in.behaviour = behaviour
    page = open_stand_in()
    say(page, "Tell me")
    expect(page.locator("#answer .failure")).to_contain_text(title)
    expect(page.locator("#timing")).to_contain_text("broken off")
    expect(page.locator(".log .assistant p")).to_contain_text("Once there was a café")
    go_on(page, "So: ")
    expect(page.locator("#answer .failure")).to_contain_text(title)
    expect(page.locator("#answer .made")).to_contain_text("So: Once there was a café")
    page.get_by_role("button", name="Chat").click()
    stand_in.behaviour = "whole"
    say(page, "Once more")
    finished(page)
    expect(page.locator("#answer .failure")).to_have_count(0)


def test_a_server_that_is_gone_is_told_in_words(open_stand_in):
    page = open_stand_in()
    page.route("**/v1/**", lambda route: route.abort())
    say(page, "Hello")
    expect(page.locator("#answer .failure")).to_contain_text("The server does not answer")


def test_an_empty_message_is_told_at_its_box(open_stand_in, stand_in):
    page = open_stand_in()
    say(page, "  ")
    expect(page.locator("#chat-problem")).to_have_text("Write a message first.")
    expect(page.get_by_label("Message")).to_be_focused()
    assert stand_in.bodies == []


def test_a_model_without_a_chat_template_only_continues_texts(open_stand_in, stand_in):
    page = open_stand_in("notes")
    expect(page.get_by_role("button", name="Chat")).to_have_count(0)
    page.get_by_label("Beginning of the text").fill("So: ")
    page.get_by_role("button", name="Continue").click()
    finished(page)
    assert stand_in.bodies[0]["path"] == "/models/notes/v1/completions"


def test_what_a_model_writes_is_never_markup(open_stand_in, stand_in):
    stand_in.tale = "<img src=x onerror=alert(1)> <b>bold</b>"
    page = open_stand_in()
    say(page, "<i>Hello</i>")
    expect(finished(page).locator(".log .assistant p")).to_have_text(stand_in.tale)
    expect(page.locator(".log .user p")).to_have_text("<i>Hello</i>")
    assert page.locator(".log img, .log b, .log i").count() == 0
    assert page.complaints == []
