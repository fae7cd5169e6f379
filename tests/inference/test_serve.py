"""The page of a model: what it shows, in a real browser where there is one, and what it refuses."""

from __future__ import annotations

import importlib.util
import shutil
import time

import pytest
import saved_models

from hf_ext.errors import UserError
from hf_ext.inference import Predictor, page, serve, serve_command

NEEDED = {
    "gradio (extra serve)": importlib.util.find_spec("gradio"),
    "selenium": importlib.util.find_spec("selenium"),
    "chromium": shutil.which("chromium"),
    "chromedriver (Debian: chromium-driver)": shutil.which("chromedriver"),
}
LACKING = [name for name, found in NEEDED.items() if not found]
COLOURED = """
const ground = element => getComputedStyle(element).backgroundColor;
return [...document.querySelectorAll("#entities *")]
    .filter(element => !["rgba(0, 0, 0, 0)", "rgb(255, 255, 255)"].includes(ground(element)))
    .map(element => [element.innerText.trim(), ground(element)]);
"""
TEXT = "王小明在北京的新华社工作。"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    folder = saved_models.save_tagger(tmp_path_factory.mktemp("tagger"), level="character", joint=True)
    return Predictor.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = saved_models.save_classifier(tmp_path_factory.mktemp("classifier"), "columns")
    return Predictor.from_pretrained(folder, device="cpu")


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_entities_are_spans_of_the_text_and_rows_of_a_table(tagger):
    expected = tagger(TEXT)
    shown, label, rows = page.tag_answers(tagger)(TEXT)
    assert shown["text"] == TEXT
    assert [(s["entity"], s["start"], s["end"]) for s in shown["entities"]] == [
        (e["type"], e["start"], e["end"]) for e in expected["entities"]
    ]
    assert [row[1] for row in rows] == [e["text"] for e in expected["entities"]] != []
    assert label == {expected["sentence_label"]: expected["sentence_probability"]}
    assert page.tag_answers(tagger)("") == [{"text": "", "entities": []}, {}, []]


def test_every_type_has_a_colour_of_its_own(tagger):
    colours = page.entity_colours(tagger.task)
    assert list(colours) == ["LOC", "ORG", "PER"]
    assert len(set(colours.values())) == 3


def test_cells_become_the_prediction_and_its_probabilities(classifier):
    row = {"text": "this book is fine", "shop": "north", "price": 2.0}
    expected = classifier(row)
    shown = page.label_answers(classifier)(*row.values())
    assert shown == [expected["prediction"], expected["probabilities"]]
    assert page.label_answers(classifier)("this book is fine", "north", "2") == shown
    with pytest.raises(UserError, match="'much' is not a number"):
        page.label_answers(classifier)("this book is fine", "north", "much")


@pytest.mark.parametrize("kind", ["several_labels", "regression"])
def test_several_labels_and_numbers_are_shown_too(kind, tmp_path):
    predictor = Predictor.from_pretrained(saved_models.save_classifier(tmp_path, kind), device="cpu")
    text = saved_models.ROWS[0]["text"]
    expected, shown = predictor(text), page.label_answers(predictor)(text)
    if kind == "regression":
        assert shown == [expected["prediction"]]
    else:
        assert shown == [", ".join(expected["prediction"]) or "none", expected["probabilities"]]


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package gradio – pip install 'hf_ext\[serve\]'"):
        serve_command.main(["model"])


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    if LACKING:
        pytest.skip(f"no browser test, not installed: {', '.join(LACKING)}")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1200,900",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.implicitly_wait(120)  # seconds that an element may take to appear
    yield driver
    driver.quit()


def ask(browser, address, field, text):
    """Open the page, write a text and press the button."""
    browser.get(address)
    browser.find_element("css selector", f"#{field} textarea").send_keys(text)
    browser.find_element("css selector", "#answer").click()


def wait_for(read, seconds=120):
    """Read until there is something."""
    end = time.monotonic() + seconds
    while not (found := read()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


@pytest.mark.slow
def test_a_browser_shows_coloured_entities(tagger, browser, tmp_path):
    shown, address = serve.start_page(tagger, "names")
    try:
        assert address.startswith("http://127.0.0.1:")
        ask(browser, address, "text", TEXT)
        wait_for(lambda: browser.find_element("css selector", "#sentence").text.count("%"))
        marks = browser.execute_script(COLOURED)
        browser.save_screenshot(str(tmp_path / "entities.png"))
    finally:
        shown.close()
    expected = tagger(TEXT)["entities"]
    colours = {text: colour for text, colour in marks if text in page.entity_colours(tagger.task)}
    assert len(set(colours.values())) == 3  # the legend
    assert [text for text, _ in marks if text not in colours] == [entity["text"] for entity in expected]
    found = [colour for text, colour in marks if text not in colours]
    assert found == [colours[entity["type"]] for entity in expected]


@pytest.mark.slow
def test_a_browser_shows_probabilities_as_bars(classifier, browser, tmp_path):
    shown, address = serve.start_page(classifier, "reviews")
    try:
        ask(browser, address, "text", "this book is fine")
        wait_for(lambda: "%" in browser.find_element("css selector", "#probabilities").text)
        text = browser.find_element("css selector", "#probabilities").text
        prediction = browser.find_element("css selector", "#prediction textarea").get_attribute("value")
        browser.save_screenshot(str(tmp_path / "bars.png"))
    finally:
        shown.close()
    expected = classifier({"text": "this book is fine", "shop": "north", "price": ""})
    assert prediction == expected["prediction"]
    assert all(label in text for label in expected["probabilities"])
