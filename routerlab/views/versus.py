"""The arms of a run against each other, as a part of its report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from routerlab.experiments.outcomes import OutcomeTable
from routerlab.views.comparison import Comparison
from routerlab.views.frontier import Frontier
from routerlab.views.result import RunResult
from routerlab.views.svg import escape_text
from routerlab.views.theme import THEMED
from routerlab.views.words import count

__all__ = ["verdicts_html"]

_ARMS = 6  # that are compared each with each: fifteen pairs, a few seconds
_ENOUGH = 10  # prompts of a pair, for a verdict


def verdicts_html(run: RunResult, margin: float) -> str:
    """Sentences, a forest plot, the figures of each pair, quality against cost and latency.

    Args:
        run: of several arms; of many the six with the best scores are compared.
        margin: how large a difference in score does not matter.
    """
    outcomes = run.outcomes()
    compared = Comparison(outcomes, _best(outcomes), margin=margin, name=run.name)
    frontier = Frontier(outcomes, name=run.name)
    drawn = f'<div class="figure">{frontier.draw(THEMED).render()}</div>' if frontier.points else ""
    return "".join([*_compared(compared, len(outcomes.variants)), drawn])


def _compared(compared: Comparison, arms: int) -> Iterator[str]:
    prompts = max(verdict.quality.n for verdict in compared.verdicts)
    if prompts < _ENOUGH:
        yield f"<p>{count(prompts, 'prompt')} with a score of two arms: too few for a verdict.</p>"
        return
    if arms > len(compared.models):
        yield f"<p>The {len(compared.models)} of {arms} with the best scores, each with each.</p>"
    yield f"<ul>{''.join(f'<li>{escape_text(sentence)}</li>' for sentence in compared.sentences)}</ul>"
    yield f'<div class="figure">{compared.draw(THEMED).render()}</div><div class="scroll">{compared.figures}</div>'
    yield f'<p class="muted">{escape_text(compared.notes)}</p>'


def _best(outcomes: OutcomeTable) -> list[str]:
    """The arms with the highest mean scores, in their own order."""
    known = ~np.isnan(outcomes.score)
    means = np.nansum(outcomes.score, axis=0) / np.maximum(known.sum(axis=0), 1)
    return [outcomes.variants[place] for place in sorted(np.argsort(-means, kind="stable")[:_ARMS])]
