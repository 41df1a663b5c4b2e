"""The one widget behind all live panels: a small ES module that draws, and the traits that it draws from."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

__all__ = ["Panel", "asset"]

# Module and style travel in the first message of every panel: packed, they are a third as long.
_UNPACK = """\
const packed = Uint8Array.from(atob("%s"), (char) => char.charCodeAt(0));
const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
const board = await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
export default board.default;
"""


def asset(name: str) -> str:
    """The text of a file in ``assets``."""
    return (files("routerlab.views") / "assets" / name).read_text(encoding="utf-8")


@cache
def _module() -> str:
    lines = [line.strip() for line in asset("board.js").replace('"STYLE"', json.dumps(asset("board.css"))).splitlines()]
    text = "\n".join(line for line in lines if not line.startswith("//"))
    return _UNPACK % b64encode(zlib.compress(text.encode(), 9)).decode()


class Panel(anywidget.AnyWidget):
    """Sections of the board of one lab. Only `Publisher` writes the traits.

    Args:
        whole: everything to begin with (`Board.whole`).
        show: names of the sections, from the top.
        about: of the runs only this one; empty: all.

    Attributes:
        whole: the latest whole; a page that missed an update asks for a new one.
        tick: the latest update.
        show, about: as given.
        heard: gets what a user did (a dict); it only hands work over.
    """

    _esm = _module()

    whole = traitlets.Dict().tag(sync=True)
    tick = traitlets.Dict().tag(sync=True)
    show = traitlets.List(traitlets.Unicode()).tag(sync=True)
    about = traitlets.Unicode().tag(sync=True)

    heard: Callable[[dict[str, Any]], None] | None = None

    def __init__(self, whole: Mapping[str, Any], show: Sequence[str], about: str = "") -> None:
        super().__init__(whole=dict(whole), tick={}, show=list(show), about=about)
        self.on_msg(self._pass_on)

    def _pass_on(self, _: Any, content: Any, __: Any) -> None:
        if self.heard is not None and isinstance(content, dict):
            self.heard(content)
