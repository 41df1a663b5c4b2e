"""Colours. Told apart by people with colour-blindness, and never the only sign of a state.

Source: Okabe and Ito, "Color Universal Design", 2008 (the palette).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CSS_VARIABLES", "DARK", "LIGHT", "SERIES", "THEMED", "Theme", "model_colours", "variables"]


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of one drawing.

    Attributes:
        paper, panel: the background, and that of a lane or box.
        ink, muted, grid: text, secondary text, lines.
        ok, failed, waiting: the outcomes of attempts.
        closed, open, half_open: the states of a breaker.
    """

    paper: str
    panel: str
    ink: str
    muted: str
    grid: str
    ok: str = "#009e73"
    failed: str = "#d55e00"
    waiting: str = "#8a8f98"
    closed: str = "#56b4e9"
    open: str = "#d55e00"
    half_open: str = "#e69f00"


LIGHT = Theme(paper="#ffffff", panel="#f3f5f7", ink="#1f2328", muted="#57606a", grid="#d0d7de")
DARK = Theme(paper="#16181d", panel="#22262e", ink="#e6e8eb", muted="#a3abb5", grid="#3b424d")
THEMED = Theme(
    paper="var(--rl-paper)",
    panel="var(--rl-panel)",
    ink="var(--rl-ink)",
    muted="var(--rl-muted)",
    grid="var(--rl-grid)",
)
"""Colours that the page decides; it defines them with `CSS_VARIABLES` or `variables`."""

CSS_VARIABLES = (
    "--rl-paper:var(--jp-layout-color1,var(--vscode-editor-background,#ffffff));"
    "--rl-panel:var(--jp-layout-color2,var(--vscode-editorWidget-background,#f3f5f7));"
    "--rl-ink:var(--jp-ui-font-color1,var(--vscode-editor-foreground,#1f2328));"
    "--rl-muted:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,#57606a));"
    "--rl-grid:var(--jp-border-color2,var(--vscode-panel-border,#d0d7de));"
)
"""The same colours from the notebook's own theme, with fallbacks for a page that has none."""

SERIES = ("#0072b2", "#e69f00", "#cc79a7", "#009e73", "#56b4e9", "#d55e00", "#8c6d31", "#8a8f98")
"""Colours of models, in the order in which they come."""


def variables(theme: Theme) -> str:
    """CSS that gives a page the colours of `theme`."""
    names = ("paper", "panel", "ink", "muted", "grid")
    return "".join(f"--rl-{name}:{getattr(theme, name)};" for name in names)


def model_colours(models: Iterable[str]) -> dict[str, str]:
    """A colour for each model; the ninth starts over (labels tell them apart)."""
    return {model: SERIES[place % len(SERIES)] for place, model in enumerate(dict.fromkeys(models))}
