"""A board in one HTML file: the same module as in a notebook, the recorded data, a slider for the time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from routerlab.experiments.output import output_text
from routerlab.views.panel import asset
from routerlab.views.publisher import Publisher
from routerlab.views.theme import DARK, LIGHT, Theme

__all__ = ["write_offline"]

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>routerlab: %(title)s</title>
<style>
:root { color-scheme: light dark; %(light)s }
@media (prefers-color-scheme: dark) { :root { %(dark)s } }
body { margin: 0 auto; max-width: 1400px; background: var(--rl-page); }
%(css)s</style>
<main id="board"></main>
<noscript>This page needs JavaScript; it loads nothing from elsewhere.</noscript>
<script type="application/json" id="data">%(data)s</script>
<script type="module">
%(module)s
window.board = play(JSON.parse(document.getElementById("data").textContent), document.getElementById("board"));
</script>
</html>
"""
_SHOW = ("counters", "breakers", "scores", "failovers")  # nobody can act on a file


def write_offline(path: Path, publisher: Publisher, show: Sequence[str]) -> Path:
    """Write what a lab's board has recorded.

    Args:
        path: of the file.
        publisher: of the lab.
        show: sections; those that act are left out.
    """
    whole = publisher.whole()
    counters = [[round(at, 2), counts] for at, counts in publisher.recorded()]
    zero, points = whole["t"], whole["p"]
    times = [zero + point[0] - point[1] for point in points[:1]] + [change[0] for change in whole["g"][:1]]
    start, end = min(times, default=zero), max(whole["at"], *(zero + point[0] for point in points[-1:]), 0.0)
    counters.append([round(end, 2), {**whole["c"]}])
    data = {
        "whole": whole,
        "counters": counters,
        "from": start,
        "to": max(end, start + 1.0),
        "show": [name for name in show if name in _SHOW],
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    page = _PAGE % {
        "title": "recorded calls",
        "light": _variables(LIGHT),
        "dark": _variables(DARK),
        "css": asset("board.css"),
        "module": asset("board.js"),
        "data": text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"),
    }
    with output_text(path) as file:
        file.write(page)
    return path


def _variables(theme: Theme) -> str:
    names = {"page": "paper", "panel": "panel", "ink": "ink", "muted": "muted", "grid": "grid"}
    return " ".join(f"--rl-{name}: {getattr(theme, field)};" for name, field in names.items())
