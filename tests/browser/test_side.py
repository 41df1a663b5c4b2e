"""Replies side by side as people read them: search, filters, marks, folds, pages; and what a saved notebook keeps."""

LAB = """
import routerlab as rl
evil = "<img id=evil src=x onerror='document.title=1'>"
items = [{"prompt": f"{evil} How much is {n} and {n}?", "answer": str(2 * n)} for n in range(40)]
long = "Two and two are four, as everybody knows.\\n    indented = True\\n" * 120
def said(name, n):
    if n == 2:
        return long if name == "a" else long.replace("everybody", "nobody") + "The end."
    return f"It is {2 * n + (name == 'b' and n in (7, 30))}. {evil}"
models = {
    name: {"ttft_s": 0.001, "tokens_per_s": 500000, "accuracy": 1.0,
           "answers": {item["prompt"]: said(name, n) for n, item in enumerate(items)}}
    for name in ("a", "b")
}
lab = rl.Lab({"providers": {"sim": {"kind": "simulated", "models": models}}}, store=False)
run = lab.replay(rl.load_dataset(items), ["sim/a", "sim/b"], scorers="contains")
side = run.side_by_side()
side
"""
BUSY = """
import time
heard = []
side.widget.on_msg(lambda *_: heard.append(1))
print("at work", flush=True)
end = time.monotonic() + 120
while not heard and time.monotonic() < end:
    time.sleep(0.05)
assert heard
"""
STATUS = "words => document.querySelector('.rls-status').textContent === words"
PROMPTS = "() => [...document.querySelectorAll('.rls tbody tr')].map(row => row.cells[0].innerText)"
COLOR = "() => getComputedStyle(document.querySelector('.rls')).backgroundColor"
MARKS = """() => [...document.querySelectorAll('.rls tbody tr:first-child mark')]
  .map(mark => [mark.textContent, getComputedStyle(mark).textDecorationLine])"""


def chip(page, words):
    return page.locator(".rls-chip", has_text=words)


def test_replies_are_searched_filtered_marked_and_unfolded(open_cells):
    sheet = open_cells(LAB)
    sheet.run()
    sheet.wait("() => document.querySelector('.rls tbody')")
    page = sheet.page
    assert sheet.text(".rls-status") == "1 to 20 of 40"
    assert [text.split(" and ")[1][:2] for text in page.evaluate(PROMPTS)[:3]] == ["7?", "30", "0?"]
    assert page.evaluate("() => document.querySelector('#evil')") is None
    assert page.evaluate(MARKS) == [["14", "underline"], ["15", "underline"]]
    page.click("text=mark differences")
    assert page.evaluate(MARKS) == [["14", "none"], ["15", "none"]]

    page.click("[aria-label='Next page']")
    sheet.wait(STATUS, arg="21 to 40 of 40")
    chip(page, "sim/b wrong").focus()
    page.keyboard.press("Enter")
    sheet.wait(STATUS, arg="1 to 3 of 3")
    assert chip(page, "sim/b wrong").get_attribute("aria-pressed") == "true"
    assert page.evaluate("() => document.activeElement.textContent") == "sim/b wrong3", "the focus stays where it was"
    chip(page, "failures").click()
    sheet.wait("() => document.querySelector('.rls-none')")
    chip(page, "all").click()
    sheet.wait(STATUS, arg="1 to 20 of 40")

    page.fill(".rls input", "NOBODY")
    sheet.wait(STATUS, arg="1 to 1 of 1")
    reply = page.locator(".rls tbody td").nth(1)
    assert "The end." not in reply.inner_text()
    assert "\n    indented = True" in reply.inner_text()
    reply.get_by_text("show all").click()
    sheet.wait("() => document.querySelector('.rls tbody td:last-child').innerText.includes('The end.')")
    assert [one.get_attribute("aria-expanded") for one in page.locator(".rls td .rls-more").all()] == ["true", "true"]
    reply.get_by_text("fold").click()
    assert page.locator(".rls td .rls-more").first.inner_text() == "show all"
    sheet.calm()


def test_a_page_is_answered_while_a_cell_runs_and_a_saved_notebook_keeps_a_table(open_cells):
    sheet = open_cells(LAB, BUSY)
    sheet.start()
    sheet.wait("() => document.querySelector('.jp-Notebook').textContent.includes('at work')", seconds=120)
    sheet.page.click("[aria-label='Next page']")
    sheet.over()
    sheet.wait(STATUS, arg="21 to 40 of 40")

    light = sheet.page.evaluate(COLOR)
    sheet.theme("Dark")
    try:
        sheet.wait(f"light => ({COLOR})() !== light", arg=light)
    finally:
        sheet.theme("Light")
    assert sheet.page.locator(".routerlab-still table:visible").count() == 0, (
        "the table stands in only for the live part"
    )
    first, second = sheet.save().cells
    assert [output.output_type for output in second.outputs] == ["stream"]
    kept = str(first.outputs)
    assert "20 of 40 rows are shown" in kept
    assert "<details>" in kept
    assert "<img id=evil" not in kept
