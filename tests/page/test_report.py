"""The report of `emberlite verify` in a browser and on paper: one file, readable at every width, light and dark."""

import json

import pytest
from playwright.sync_api import expect

from page_steps import overflow
from support.packages import Command
from support.processes import ROOT

MODELS = ROOT / "models"

# The contrast of every text with what lies behind it, the least first.
CONTRASTS = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => channels(colour).slice(0, 3).map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const owns = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll("body *:not(svg *)")].filter(owns).map(element => {
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => b - a);
    return [(one + 0.05) / (other + 0.05), element.textContent.trim().slice(0, 40)];
  }).sort((a, b) => a[0] - b[0]);
}"""


@pytest.fixture(scope="module")
def reports(binaries, tmp_path_factory):
    """A report of a classifier that is good enough, and of a language model that is refused."""
    folder = tmp_path_factory.mktemp("reports")
    command = Command(binaries.emberlite, folder)

    def report(model: str, *arguments):
        digest = json.loads((MODELS / model / "current.json").read_text())["digest"]
        file = folder / f"{model}.html"
        package = MODELS / model / f"{digest}.ember"
        done = command("verify", MODELS / model, package, "--rounds", 2, "--report", file, *arguments)
        assert file.is_file(), done.stderr
        return file

    questions = folder / "questions.jsonl"
    rows = [{"text": row["text"], "label": row["label"]} for row in json.loads((MODELS / "intents/reference.json").read_text())]
    questions.write_text("\n".join(json.dumps(row) for row in rows))
    return {
        "intents": report("intents", "--data", questions, "--max-loss", "1%"),
        "storyteller": report("storyteller", "--data", MODELS / "storyteller/tale.txt", "--max-divergence", 0.0001),
    }


@pytest.fixture
def open_report(browser, reports):
    opened = []

    def start(model: str, width: int = 1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        opened.append(context)
        page = context.new_page()
        page.complaints, page.requested = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(reports[model].as_uri())
        return page

    yield start
    for context in opened:
        context.close()


@pytest.mark.parametrize("model", ["intents", "storyteller"])
@pytest.mark.parametrize("width", [380, 1280])
def test_a_report_is_one_file_and_fits_the_screen(open_report, reports, model, width):
    page = open_report(model, width)
    assert page.requested == [reports[model].as_uri()]
    assert page.complaints == []
    assert overflow(page) == 0
    headings = ["Answers", "Size by part", "Time", "Error by layer", "Worst cases", "Recipe", "Provenance"]
    verdict = {"intents": "Good enough", "storyteller": "Refused"}[model]
    expect(page.get_by_role("heading", level=2)).to_have_text([verdict, *headings])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("model", ["intents", "storyteller"])
def test_every_text_can_be_read(open_report, model, scheme):
    page = open_report(model, color_scheme=scheme)
    least, text = page.evaluate(CONTRASTS)[0]
    assert least >= 4.5, text


def test_plots_and_tables_tell_what_they_are_to_those_who_do_not_see_them(open_report):
    page = open_report("intents")
    expect(page.get_by_role("img", name="source: 7.62 MB")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Package", exact=True).first).to_be_visible()
    expect(page.get_by_role("row", name="accuracy").get_by_role("cell").first).to_have_text("100 %")
    unnamed = "[...document.querySelectorAll('svg')].filter(svg => !svg.hasAttribute('aria-hidden') && !svg.hasAttribute('aria-label'))"
    assert page.evaluate(f"{unnamed}.length") == 0


@pytest.mark.parametrize("model", ["intents", "storyteller"])
def test_a_report_can_be_printed(open_report, model):
    page = open_report(model, color_scheme="dark")
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF-") and 1 <= printed.count(b"/Type /Page\n") <= 8
    page.emulate_media(media="print")
    # Paper is white, whatever the screen is.
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(CONTRASTS)[0][0] >= 4.5
