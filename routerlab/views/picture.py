"""Pictures that a notebook shows, keeps when it is saved, and that can be written to a file."""

from __future__ import annotations

import os
import zlib
from base64 import b64encode
from functools import cache
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path
from typing import Any

from routerlab.experiments.output import output_file
from routerlab.views.svg import Element, el, escape_text, fmt
from routerlab.views.theme import DARK, LIGHT, THEMED, Theme

__all__ = ["Picture", "canvas", "to_png"]

_FONTS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_DARK_PAGES = ('[data-jp-theme-light="false"]', ".vscode-dark", 'html[theme="dark"]')  # Jupyter, VS Code, Colab
_FONT_FILES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")


class Picture:
    """Something that draws itself as one SVG. Subclasses give `draw` and `__str__`.

    A notebook shows it light or dark, as its theme is; beside that the saved file holds a standalone SVG, a PNG and the
    text, so that it is still seen where HTML is not shown (GitHub, a PDF, a mail).
    """

    def draw(self, theme: Theme) -> Element:
        """The picture as an ``svg`` element in the colours of `theme`."""
        raise NotImplementedError

    @property
    def svg(self) -> str:
        """A standalone SVG with fixed light colours."""
        return self.draw(LIGHT).render()

    @property
    def html(self) -> str:
        """The picture as HTML: light, and dark where the page is.

        The picture stands in an ``img``, not in the page itself: a notebook that is not trusted keeps images, but
        takes ``svg`` and ``style`` elements out of HTML and would leave the bare texts of the drawing.
        """
        light, name = self.svg, f"routerlab-{zlib.crc32(self.svg.encode()):08x}"
        style = f'.{name}{{--dark:url("{_data_uri(self.draw(DARK).render())}")}}'
        style += ",".join(f"{page} .{name}" for page in _DARK_PAGES) + "{content:var(--dark)}"
        width, label = fmt(self.draw(LIGHT).attributes["width"]), escape_text(str(self).partition("\n")[0])
        image = f'<img class="{name}" src="{_data_uri(light)}" alt="{label}" width="{width}" style="max-width:100%">'
        return f"<style>{style}</style>{image}"

    def png(self, scale: float = 2.0, *, colours: int | None = None) -> bytes:
        """The picture as PNG.

        Args:
            scale: pixels per unit (2: sharp on a dense screen).
            colours: at most so many, 2 to 256: a third of the size with 64, and hardly to be seen; None: all.
        """
        image = to_png(self.svg, scale)
        return image if colours is None else _with_fewer_colours(image, colours)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file that ends in ``.svg``, ``.png`` or ``.html``.

        Raises:
            ValueError: another ending.
            ConfigurationError: there is no such folder.
        """
        target = Path(path)
        match target.suffix.lower():
            case ".svg":
                content = self.svg.encode()
            case ".png":
                content = self.png()
            case ".html":
                content = f'<!doctype html><meta charset="utf-8">{self.html}\n'.encode()
            case other:
                raise ValueError(
                    f"cannot save a picture as {other or 'a file without an ending'}: use .svg, .png, .html"
                )
        with output_file(target) as file:
            file.write(content)
        return target

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = self.draw(LIGHT)
        svg, size = picture.render(), picture.attributes
        bundle = {
            "text/html": self.html,
            "image/svg+xml": svg,
            "image/png": b64encode(to_png(svg)).decode(),
            "text/plain": str(self),
        }
        return bundle, {"image/png": {"width": size["width"], "height": size["height"]}}


def _data_uri(svg: str) -> str:
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def canvas(width: float, height: float, *children: Element, theme: Theme, label: str) -> Element:
    """An ``svg`` element of a size, with a background (where the page has none) and a name for screen readers."""
    background = [el("rect", width=width, height=height, fill=theme.paper)] if theme is not THEMED else []
    return el(
        "svg",
        el("title", label),
        *background,
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        font_family=_FONTS,
        style="max-width:100%;height:auto",
    )


def to_png(svg: str, scale: float = 2.0) -> bytes:
    """Draw a standalone SVG without a browser, in the font that the package carries (the same picture everywhere)."""
    import resvg_py

    image = resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=scale,  # whole numbers only in older versions
        skip_system_fonts=True,
        font_files=list(_font_paths()),
        font_family="DejaVu Sans",
        sans_serif_family="DejaVu Sans",
    )
    return bytes(image)


def _with_fewer_colours(png: bytes, colours: int) -> bytes:
    from PIL import Image

    small = BytesIO()
    with Image.open(BytesIO(png)) as image:
        flat = image.convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        flat.save(small, "png", optimize=True)
    return small.getvalue()


@cache
def _font_paths() -> tuple[str, ...]:
    folder = files("routerlab.views") / "assets"
    paths = []
    for name in _FONT_FILES:
        with as_file(folder / name) as path:  # the package is always unpacked on disk: the path stays valid
            paths.append(str(path))
    return tuple(paths)
