"""The SVG builder, colours and pictures."""

from __future__ import annotations

import base64
import doctest
import importlib
import re
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import routerlab.views
from routerlab.views.picture import Picture, canvas, to_png
from routerlab.views.svg import clip, el, fmt, short, text, text_width
from routerlab.views.theme import DARK, LIGHT, THEMED, model_colours, variables
from routerlab.views.waterfall import ticks
from routerlab.views.words import count, money, percent, seconds

HOSTILE = "</text><script>alert('x')</script>&\"\x00\ud800"


class Square(Picture):
    def draw(self, theme):
        return canvas(20, 10, text("Hi", 2, 8, fill=theme.ink, size=8), theme=theme, label=HOSTILE)

    def __str__(self):
        return "a square"


def test_texts_and_attributes_are_escaped_and_stay_readable_xml():
    markup = el("g", HOSTILE, data_x=HOSTILE, xmlns="http://www.w3.org/2000/svg").render()
    root = ET.fromstring(markup)  # noqa: S314 - our own
    assert "<script" not in markup
    assert root.text == root.get("data-x") == "</text><script>alert('x')</script>&\"\ufffd\ufffd"
    assert len(root) == 0


def test_a_missing_attribute_is_left_out_and_numbers_are_short():
    assert el("rect", x=1.0, y=0.126, fill=None).render() == '<rect x="1" y="0.13"/>'
    assert fmt(-0.5) == "-0.5"


def test_cut_texts_fit():
    name = "openrouter/meta-llama/llama-3.3-70b-instruct:free"
    for cut in (clip(name, 100, 11), short(name, 100, 11)):
        assert text_width(cut, 11) <= 100
        assert "…" in cut
    assert short(name, 100, 11).endswith(":free")
    assert clip("short", 100, 11) == short("short", 100, 11) == "short"


def test_a_picture_has_every_form_that_a_notebook_keeps():
    bundle, metadata = Square()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/svg+xml", "image/png", "text/plain"}
    assert metadata == {"image/png": {"width": 20, "height": 10}}  # the PNG itself has twice as many pixels
    assert "var(" not in bundle["image/svg+xml"]  # a standalone file has no page to ask
    assert "<script" not in bundle["text/html"] + bundle["image/svg+xml"]
    assert bundle["text/plain"] == "a square"


def test_a_notebook_that_is_not_trusted_still_shows_the_picture():
    page = Square().html
    light, dark = (base64.b64decode(uri).decode() for uri in re.findall(r"base64,([\w+/=]+)", page)[::-1][:2])
    assert LIGHT.ink in light
    assert DARK.ink in dark
    # what such a notebook leaves of HTML: no style, no svg, but images
    kept = re.sub(r"<style>.*?</style>", "", page)
    assert re.fullmatch(r"<img [^<>]*>", kept)
    assert 'alt="a square"' in kept


def test_a_png_has_the_size_and_the_text_without_any_system_font():
    png = Square().png(scale=3)
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (60, 30)
    blank = canvas(20, 10, theme=LIGHT, label="").render()
    assert png != to_png(blank, 3)


@pytest.mark.parametrize("ending", [".svg", ".png", ".html"])
def test_a_picture_is_saved_as_its_ending_says(tmp_path, ending):
    path = Square().save(tmp_path / f"p{ending}")
    assert path.read_bytes()[:4] in {b"<svg", b"\x89PNG", b"<!do"}


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.jpg"):
        Square().save(tmp_path / "p.jpg")


def test_the_fonts_are_small_and_bring_their_licence():
    assets = Path(routerlab.views.__file__).parent / "assets"
    fonts = list(assets.glob("*.ttf"))
    assert len(fonts) == 2
    assert sum(font.stat().st_size for font in fonts) <= 60_000
    assert "Bitstream" in (assets / "LICENSE-DejaVu.txt").read_text()


def test_themes_differ_and_the_page_decides_for_the_themed_one():
    assert LIGHT.ink != DARK.ink
    assert THEMED.ink == "var(--rl-ink)"
    assert f"--rl-paper:{DARK.paper};" in variables(DARK)


def test_models_keep_their_colours():
    colours = model_colours(["b", "a", "b"])
    assert list(colours) == ["b", "a"]
    assert colours["a"] != colours["b"]


@pytest.mark.parametrize("length", [1e-6, 0.013, 0.9, 1.0, 7.3, 59.0, 86_400.0])
def test_ticks_are_round_few_and_inside(length):
    found = ticks(length)
    assert found[0] == 0
    assert found[-1] <= length * (1 + 1e-9)
    assert 3 <= len(found) <= 8


def test_ticks_of_nothing():
    assert ticks(0.0) == [0.0]


@pytest.mark.parametrize("name", ["metrics", "svg", "waterfall", "words"])
def test_examples_hold(name):
    found = doctest.testmod(importlib.import_module(f"routerlab.views.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_numbers_in_words():
    assert (count(1, "call"), count(0, "call")) == ("1 call", "0 calls")
    assert [seconds(value) for value in (0.0, 0.9996, 99.99, 100.0, float("nan"))] == [
        "0 ms",
        "1 s",
        "100 s",
        "1 min 40 s",
        "",
    ]
    assert [money(value) for value in (0.5, 12345.678, 1e-7, None)] == ["$0.50", "$12,345.68", "$0.0000001", ""]
    assert [percent(value) for value in (0.0, 0.99999, 1.0)] == ["0.0 %", "99.9 %", "100 %"]
