"""The page's side of replies side by side, and what stands behind it where it is not alive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import anywidget

__all__ = ["Kept", "side_widget"]


class Kept:
    """What a saved notebook keeps, and a page without the live part shows."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def side_widget(about: Mapping[str, Any], first: Mapping[str, Any]) -> anywidget.AnyWidget:
    """The live part of `SideBySide`.

    Args:
        about: what does not change.
        first: the page that it shows at once; empty: it asks for one.
    """
    made: anywidget.AnyWidget = _widget_class()(about=about, first=first)
    return made


@cache
def _widget_class() -> Any:
    import anywidget
    import traitlets

    from routerlab.views.panel import asset

    class SidePanel(anywidget.AnyWidget):
        """Asks `SideBySide` for lines, by messages."""

        _esm = asset("side.js").replace('"STYLE"', json.dumps(asset("side.css")))
        about = traitlets.Dict().tag(sync=True)
        first = traitlets.Dict().tag(sync=True)

    return SidePanel
