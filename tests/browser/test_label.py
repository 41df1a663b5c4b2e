"""Labels by hand as people give them: keys, buttons, dark and light, a saved notebook."""

import pytest

LAB = """
import routerlab as rl
items = [{"prompt": f"Why {word}? <b id=evil>bold</b>", "answer": "x"} for word in ("sleep", "rust", "salt", "wind")]
said = {"a": "Because. <img id=evil src=x onerror='document.title=1'>", "b": "For many reasons. " * 40}
models = {
    name: {"ttft_s": 0.001, "tokens_per_s": 5000, "accuracy": 1.0, "answers": {item["prompt"]: text for item in items}}
    for name, text in said.items()
}
lab = rl.Lab({"providers": {"sim": {"kind": "simulated", "models": models}}}, store=False)
run = lab.replay(rl.load_dataset(items), ["sim/a", "sim/b"])
labels = run.label()
"""
SEEN = "text => document.querySelector('.rll-top').textContent.includes(text)"
CELLS = "() => document.querySelectorAll('.jp-MarkdownCell').length"
COLOR = "() => getComputedStyle(document.querySelector('.rll')).backgroundColor"


@pytest.fixture
def sheet(open_cells):
    opened = open_cells(LAB, "labels")
    opened.run()
    opened.wait("() => document.querySelector('.rll-pair')")
    opened.page.focus(".rll")
    return opened


def test_keys_judge_the_pair_that_is_shown_and_leave_jupyters_shortcuts_alone(sheet):
    page = sheet.page
    assert page.evaluate("() => document.querySelector('#evil')") is None
    for number, key in enumerate(("1", "2", "t"), 1):
        page.keyboard.press(key)
        sheet.wait(SEEN, arg=f"{number} of 4")
    page.keyboard.press("b")
    sheet.wait(SEEN, arg="2 of 4")
    page.click(".rll-keys button:nth-child(4)")  # skip
    sheet.wait(SEEN, arg="3 of 4")
    page.keyboard.press("2")
    sheet.wait("() => document.querySelector('.rll').textContent.includes('4 of 4 pairs of')")
    assert page.evaluate(CELLS) == 0, "Jupyter's own key 1 makes a heading of the cell"
    assert "sim/" not in page.inner_text(".rll")
    sheet.do("assert labels.done == 4 and run.df['score_label'].notna().all()")
    sheet.calm()


def test_it_follows_the_theme_and_a_saved_notebook_says_how_far_one_got_and_shows_no_reply(sheet):
    sheet.page.keyboard.press("1")
    sheet.wait(SEEN, arg="1 of 4")
    sheet.wait("() => document.querySelector('.jp-Notebook').innerText.includes('1 of 4 pairs of')")
    outputs = str(sheet.save().cells[1].outputs)
    assert "1 of 4 pairs" in outputs
    assert "Because" not in outputs

    light = sheet.page.evaluate(COLOR)
    sheet.theme("Dark")
    try:
        sheet.wait(f"light => ({COLOR})() !== light", arg=light)
    finally:
        sheet.theme("Light")
