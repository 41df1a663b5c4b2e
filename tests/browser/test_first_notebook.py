"""The first notebook: it runs, nothing complains, the pictures are seen in both themes."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_first_route.ipynb"
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code')
  .map(cell => ({count: cell.model.executionCount, outputs: cell.model.outputs.toJSON()}))"""
PICTURES = """() => [...document.querySelectorAll('.jp-OutputArea-output :is(img, svg)')]
  .filter(shown => !shown.closest('.rlb') && shown.checkVisibility()).map(shown => {
  const box = shown.getBoundingClientRect();
  return {alt: shown.getAttribute('alt') || '', width: box.width, height: box.height,
          loaded: shown.tagName !== 'IMG' || (shown.complete && shown.naturalWidth > 0),
          swapped: getComputedStyle(shown).content.startsWith('url(')}; })"""
DRAWN = f"dark => ({PICTURES})().every(shown => shown.loaded && (!shown.alt || shown.swapped === dark))"
INKS = """() => [...document.querySelectorAll('.jp-OutputArea-output .routerlab')].map(part => {
  const [r, g, b] = getComputedStyle(part).color.match(/[\\d.]+/g).map(Number);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255; })"""


@pytest.fixture
def sheet(server, new_page, open_cells):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return open_cells(*cells, name=NOTEBOOK.name)


def test_the_first_notebook_runs_and_is_seen_in_both_themes(sheet):
    sheet.run()
    assert_cells_ran(sheet.page.evaluate(CELLS))
    for theme in ("Light", "Dark"):
        sheet.theme(theme)
        sheet.wait(DRAWN, arg=theme == "Dark")
        assert_pictures_are_seen(sheet.page.evaluate(PICTURES), dark=theme == "Dark")
        inks = sheet.page.evaluate(INKS)
        assert inks
        assert all(ink > 0.5 if theme == "Dark" else ink < 0.5 for ink in inks), inks
    sheet.theme("Light")
    sheet.calm()


def assert_cells_ran(cells):
    assert [cell["count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert [output for output in outputs if output["output_type"] == "error"] == []


def assert_pictures_are_seen(pictures, *, dark):
    """Every one has a size, and stands in the colours of the theme; one tells of a failover."""
    assert all(picture["loaded"] and picture["width"] > 100 and picture["height"] > 30 for picture in pictures), (
        pictures
    )
    ours = [picture for picture in pictures if picture["alt"]]
    assert any("failover" in picture["alt"] for picture in ours), pictures
    assert {picture["swapped"] for picture in ours} == {dark}
