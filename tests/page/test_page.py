"""The page at `/`: every demo model can be tried with mouse, keyboard or finger, and what it shows is true."""

import json
import re
import shutil
import subprocess

import pytest
from playwright.sync_api import Page, expect

from page_steps import answers, overflow, predicted, press_tab_to, ready
from support.processes import ROOT

MODELS = ("diagnosis", "credit", "digits")


# What loads


@pytest.mark.parametrize("model", MODELS)
def test_the_page_loads_without_complaint_and_asks_nobody_but_its_server(open_page, served, model):
    page = ready(open_page(model))
    expect(page.locator("h1")).to_have_text(model)
    assert page.complaints == []
    assert len(page.requested) > 5
    strangers = [url for url in page.requested if not url.startswith((f"{served.url}/", "data:", "blob:"))]
    assert strangers == []


def test_the_page_forbids_everything_from_elsewhere(open_page):
    page = ready(open_page("diagnosis"))
    policy = page.evaluate("fetch('./').then(answer => answer.headers.get('content-security-policy'))")
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_model_is_picked_by_a_link_and_the_back_button_returns(open_page):
    page = ready(open_page("diagnosis"))
    predicted(page, page.get_by_role("navigation").get_by_role("link", name="digits").click)
    expect(page.locator("h1")).to_have_text("digits")
    page.go_back()
    expect(page.locator("h1")).to_have_text("diagnosis")


@pytest.mark.parametrize("model", MODELS)
def test_the_facts_of_a_model_are_the_servers(open_page, model):
    page = ready(open_page(model))
    described = page.evaluate("name => fetch(`models/${name}`).then(answer => answer.json())", model)
    expect(page.locator("#description")).to_have_text(described["description"])
    facts = page.locator("#facts")
    expect(facts).to_contain_text(described["licence"])
    expect(facts).to_contain_text(described["digest"][:12])
    expect(facts).to_contain_text(described["outputs"][0]["name"])


def test_the_cold_start_is_shown_step_by_step_as_the_server_measured_it(open_page):
    page = ready(open_page("diagnosis"))
    shown = page.locator("#cold-start")
    expect(shown).to_be_visible()
    described = page.evaluate("fetch('models/diagnosis').then(answer => answer.json())")["cold_start"]
    steps = [step for step in described["steps"] if step["step"] != "wait"]
    page.get_by_text("Cold start:").click()
    expect(shown.get_by_role("listitem")).to_have_count(len(steps))
    plan = next(step for step in steps if step["step"] == "plan")
    share = shown.get_by_role("listitem").filter(has_text="plan").locator(".span").evaluate(
        "bar => bar.style.getPropertyValue('--took')"
    )
    assert float(share) == pytest.approx(plan["took_ms"] / described["total_ms"], rel=1e-3)
    starts = [float(bar.evaluate("bar => bar.style.getPropertyValue('--start')")) for bar in shown.locator(".span").all()]
    assert starts == sorted(starts) and 0 <= starts[0] and starts[-1] <= 1


# Predictions


@pytest.mark.parametrize("model", MODELS)
def test_every_example_predicts_and_shows_a_bar_for_every_class(open_page, model):
    page = ready(open_page(model))
    examples = page.get_by_role("group", name="Examples").get_by_role("button")
    assert examples.count() >= 2
    for index in reversed(range(examples.count())):
        answer = predicted(page, examples.nth(index).click)
        expect(examples.nth(index)).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#answer .bars .name")).to_have_text(list(answer["probabilities"]))
        expect(page.locator("#answer .bars .winner .name")).to_have_text(answer["predicted_label"])
        share = page.locator("#answer .bars .winner .bar").evaluate("bar => bar.style.getPropertyValue('--share')")
        assert float(share) == pytest.approx(answer["probabilities"][answer["predicted_label"]])


def test_an_edit_in_the_form_changes_the_request_and_the_scores(open_page):
    page = ready(open_page("diagnosis"))
    before = page.locator("#answer .raw pre").text_content()
    field = page.get_by_label("worst radius", exact=True)
    with page.expect_request(lambda request: request.method == "POST") as sent:
        answer = predicted(page, lambda: (field.fill("9.5"), field.press("Enter")))
    assert sent.value.post_data_json["input"]["worst radius"] == 9.5
    expect(page.locator("#answer .raw pre")).not_to_have_text(before)
    assert json.loads(page.locator("#answer .raw pre").text_content()) == answer


def test_a_slider_moves_its_number_and_predicts(open_page):
    page = ready(open_page("credit"))
    slider = page.locator("input[name='age_years'] ~ input[type=range]")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        predicted(page, lambda: slider.fill("30.4"))
    expect(page.get_by_label("age years")).to_have_value("30")
    assert sent.value.post_data_json["input"]["age_years"] == 30


def test_a_choice_in_the_form_changes_the_request(open_page):
    page = ready(open_page("credit"))
    with page.expect_request(lambda request: request.method == "POST") as sent:
        predicted(page, lambda: page.get_by_label("purpose").select_option("A46"))
    row = sent.value.post_data_json["input"]
    assert row["purpose"] == "A46"
    assert isinstance(row["amount"], (int, float))


def test_form_and_json_hold_the_same_row(open_page):
    page = ready(open_page("diagnosis"))
    page.get_by_role("button", name="JSON").click()
    editor = page.get_by_role("textbox", name="Input as JSON")
    row = json.loads(editor.input_value())
    assert len(row) == 30
    predicted(page, lambda: editor.fill(json.dumps({**row, "mean radius": 12.5})))
    page.get_by_role("button", name="Form").click()
    expect(page.get_by_label("mean radius", exact=True)).to_have_value("12.5")


def test_several_rows_of_json_are_predicted_together(open_page):
    page = ready(open_page("diagnosis"))
    page.get_by_role("button", name="JSON").click()
    editor = page.get_by_role("textbox", name="Input as JSON")
    row = json.loads(editor.input_value())
    answer = predicted(page, lambda: editor.fill(json.dumps([row, list(row.values())])))
    assert len(answer["predictions"]) == 2
    expect(page.locator("#answer .rows li")).to_have_count(2)


def test_a_model_of_tensors_gets_zeros_in_its_shape(open_page):
    described = {
        "name": "sums", "digest": "0" * 64, "task": "predict", "description": "Sums.", "licence": "MIT", "labels": [],
        "inputs": [{"name": "left", "dtype": "FP32", "shape": ["N", 2, 3]}, {"name": "right", "dtype": "BOOL", "shape": ["N"]}],
        "outputs": [{"name": "sum", "dtype": "FP32", "shape": ["N"], "role": "values"}],
        "features": [], "image": None, "examples": [], "package_bytes": 4096,
    }

    def before(page: Page) -> None:
        page.route("**/models", answers({"models": [{"name": "sums", "loaded": False, "default": False}]}))
        page.route("**/models/sums", answers(described))
        page.route("**/models/sums/predict", answers({"model": "sums", "predictions": [{"outputs": {"sum": 1.25}}]}))

    page = open_page(before=before)
    editor = page.get_by_role("textbox", name="Input as JSON")
    zeros = {"left": [[[0, 0, 0], [0, 0, 0]]], "right": [False]}
    expect(editor).to_be_visible()
    assert json.loads(editor.input_value()) == zeros
    with page.expect_request("**/predict") as sent:
        page.get_by_role("button", name="Predict").click()
    assert sent.value.post_data_json == {"input": zeros}
    expect(page.locator("#answer")).to_contain_text("1.25")


def test_times_are_shown_and_the_first_request_after_a_load_is_marked_cold(open_page):
    def before(page: Page) -> None:
        listed = [{"name": "diagnosis", "loaded": False, "default": True}]
        page.route("**/models", answers({"models": listed}))

    page = ready(open_page(before=before))
    timing = page.locator("#timing")
    expect(timing).to_contain_text(re.compile(r"Round trip\s*[\d.]+ ms\s*Model run\s*[\d.]+ ms\s*Load\s*[\d.]+ ms"))
    expect(timing).to_contain_text(re.compile(r"Cold: the package took [\d.]+ ms to load"))
    predicted(page, page.get_by_role("button", name="Predict").click)
    expect(timing).not_to_contain_text("Cold")
    expect(timing).to_contain_text("Median of 2")


# Pictures


@pytest.mark.parametrize("kind", ("mouse", "touch"))
def test_a_drawing_is_predicted_when_the_stroke_ends(open_page, kind):
    page = ready(open_page("digits", has_touch=kind == "touch"))
    page.get_by_role("button", name="Clear").click()
    canvas = page.get_by_role("img", name="Drawing field")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, top, bottom = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.1, box["y"] + box["height"] * 0.9

    def draw() -> None:
        if kind == "mouse":
            page.mouse.move(x, top)
            page.mouse.down()
            page.mouse.move(x, bottom, steps=8)
            page.mouse.up()
            return
        session = page.context.new_cdp_session(page)
        for step in range(9):
            point = {"x": x, "y": top + (bottom - top) * step / 8}
            session.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    with page.expect_request(lambda request: request.method == "POST") as sent:
        answer = predicted(page, draw)
    assert sent.value.headers["content-type"] == "image/png"
    assert sent.value.post_data_buffer.startswith(b"\x89PNG")
    assert answer["predicted_label"] == "1"


def test_a_chosen_file_is_sent_as_it_is_and_can_be_saved(open_page):
    page = ready(open_page("digits"))
    picture = ROOT / "models/digits/three.jpg"
    with page.expect_request(lambda request: request.method == "POST") as sent:
        answer = predicted(page, lambda: page.locator("input[type=file]").set_input_files(picture))
    assert sent.value.post_data_buffer == picture.read_bytes()
    assert answer["predicted_label"] == "3"
    expect(page.locator("#curl")).to_contain_text("--data-binary @digits.jpg")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save digits.jpg").click()
    assert saved.value.path().read_bytes() == picture.read_bytes()


def test_a_file_that_is_no_picture_is_refused_in_words(open_page):
    page = ready(open_page("digits"))
    page.locator("input[type=file]").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"words"})
    expect(page.locator("#field")).to_contain_text("a.txt is no picture")


def test_a_cleared_field_asks_for_a_picture(open_page):
    page = ready(open_page("digits"))
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#answer")).to_contain_text("There is no picture yet")


# The curl line


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("model", MODELS)
def test_the_curl_line_gives_the_same_answer(open_page, tmp_path, model):
    page = ready(open_page(model))
    if model == "digits":
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save digits.png").click()
        saved.value.save_as(tmp_path / "digits.png")
    line = page.locator("#curl").text_content()
    command = ["bash", "-c", line.replace("curl ", "curl --silent --show-error --fail ", 1)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == json.loads(page.locator("#answer .raw pre").text_content())


def test_the_curl_line_is_copied_whole(open_page):
    page = ready(open_page("credit", permissions=["clipboard-read", "clipboard-write"]))
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#curl").text_content()


# Every screen, every hand


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_wider_than_a_phone_or_any_other_screen(open_page, model):
    page = ready(open_page(model, width=360, height=740))
    for summary in page.locator("summary").all():
        summary.click()
    for width in (1280, 920, 768, 560, 360):
        page.set_viewport_size({"width": width, "height": 740})
        assert overflow(page) <= 0, width
    if model != "digits":
        page.get_by_role("button", name="JSON").click()
        page.get_by_role("textbox", name="Input as JSON").fill('{"a name that nobody knows": 1}')
        expect(page.locator("#answer .failure")).to_be_visible()
        assert overflow(page) <= 0


def test_a_model_is_picked_filled_in_and_predicted_without_a_mouse(open_page):
    page = ready(open_page("digits"))
    press_tab_to(page, "#models a[href='?model=diagnosis']")
    predicted(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("h1")).to_have_text("diagnosis")
    press_tab_to(page, "#examples button:nth-child(2)")
    answer = predicted(page, lambda: page.keyboard.press("Enter"))
    assert answer["predicted_label"] == "benign"
    press_tab_to(page, "input[name='mean area']")
    page.keyboard.press("Control+a")
    page.keyboard.type("2400")
    predicted(page, lambda: page.keyboard.press("Control+Enter"))
    press_tab_to(page, "#predict")
    predicted(page, lambda: page.keyboard.press("Enter"))


@pytest.mark.parametrize("model", MODELS)
def test_tab_reaches_every_control_and_shows_where_it_is(open_page, model):
    page = ready(open_page(model))
    wanted = page.evaluate("""() => {
      const controls = [...document.querySelectorAll('a, button, input, select, textarea, summary')];
      const reachable = controls.filter((control) => control.tabIndex >= 0 && control.checkVisibility());
      reachable.forEach((control, index) => { control.dataset.stop = index; });
      return reachable.length;
    }""")
    reached = set()
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        stop, outline = page.evaluate("""() => {
          const control = document.activeElement;
          const shown = control.type === 'file' ? control.nextElementSibling : control;
          return [control.dataset.stop, getComputedStyle(shown).outlineStyle];
        }""")
        if stop is not None:
            reached.add(int(stop))
            assert outline != "none", f"stop {stop} shows no focus"
    assert reached == set(range(wanted))


@pytest.mark.parametrize("model", MODELS)
def test_every_control_has_a_name(open_page, model):
    page = ready(open_page(model))
    tree = page.locator("body").aria_snapshot()
    nameless = re.findall(r"^\s*- (?:button|link|textbox|spinbutton|combobox)(?::.*)?$", tree, re.MULTILINE)
    assert nameless == [], tree
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert re.search(rf"^- {landmark}|\s- {landmark}", tree), f"no {landmark} in {tree}"
