"""What can be asked of any table of outcomes, whether a run of ours or results from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from routerlab.experiments.outcomes import OutcomeTable

if TYPE_CHECKING:
    from routerlab.experiments.policies import Policy
    from routerlab.views.comparison import Comparison
    from routerlab.views.frontier import Frontier
    from routerlab.views.routing import Routing
    from routerlab.views.side import SideBySide

__all__ = ["Analysis"]


class Analysis:
    """Verdicts on models from what they scored, cost and took; subclasses give `outcomes`."""

    @property
    def name(self) -> str:
        """What it is called."""
        raise NotImplementedError

    @property
    def simulated(self) -> bool:
        """Whether any of it comes from simulated providers."""
        return False

    def outcomes(self, scorer: str | None = None) -> OutcomeTable:
        """What each model scored, cost and took on each prompt.

        Args:
            scorer: which score; None: the first; ``"success"``: whether there was an answer.
        """
        raise NotImplementedError

    def replies(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
        """All rows, and the names of the scorers."""
        raise NotImplementedError

    def compare(self, *models: str, margin: float = 0.05, scorer: str | None = None) -> Comparison:
        """Which model is better, whether they are as good, or how many prompts it would take to know.

        Paired by prompt. Right and wrong: McNemar's exact test and Tango's interval; other scores: a bootstrap over
        the prompts; the difference of median latencies and that of mean costs: the same. Several models: each with
        each, Holm's correction. Failed calls, failed judgements and answers of another model than the one asked are
        left out and counted.

        Args:
            models: which; none: all.
            margin: how large a difference in score does not matter: 0.05 is five points of a hundred.
            scorer: as for `outcomes`.

        Returns:
            ``sentence``, ``df``, ``verdicts``; a notebook shows a table and a forest plot.

        Raises:
            ConfigurationError: no such model or scorer, or fewer than two models.
        """
        from routerlab.views.comparison import Comparison

        outcomes = self.outcomes(scorer)
        return Comparison(outcomes, models, margin=margin, name=self.name, simulated=self.simulated, run=self)

    def frontier(self, *, scorer: str | None = None) -> Frontier:
        """Each model's quality against its cost and latency, with intervals and the Pareto fronts.

        Returns:
            ``df``, ``figure`` (plotly), ``points``; a notebook shows a picture and a table.
        """
        from routerlab.views.frontier import Frontier

        return Frontier(self.outcomes(scorer), name=self.name, simulated=self.simulated)

    def route(
        self, *policies: str | Policy, weak: str | None = None, strong: str | None = None, scorer: str | None = None
    ) -> Routing:
        """What routing rules would have scored and cost on these very answers; nothing is sent.

        Args:
            policies: ``"always-weak"``, ``"always-strong"``, ``"random"``, ``"oracle"``, or rules from
                `routerlab.experiments.policies`: ``random_mix``, ``threshold``, ``cascade``, ``always``. None:
                those four.
            weak, strong: the two models; None: those with the lowest and the highest mean score.
            scorer: as for `outcomes`.

        Returns:
            ``df`` with quality, cost, latency, PGR, and for thresholds APGR and CPT as RouteLLM defines them.

        Raises:
            ConfigurationError: no such rule, model or scorer, or no prompt that every model has a score for.
        """
        from routerlab.views.routing import Routing

        table = self.outcomes(scorer)
        return Routing(table, policies, weak=weak, strong=strong, name=self.name, simulated=self.simulated)

    def side_by_side(
        self,
        n: int | None = None,
        *,
        arms: Sequence[str] | None = None,
        scorer: str | None = None,
        order: str = "disagreement",
        static: bool = True,
    ) -> SideBySide:
        """The replies to the same prompts, a column for each arm: to be read, searched and filtered in a notebook.

        Of a run at work it shows what is there by now. A saved notebook then holds prompts and replies, of at most 20
        prompts; with ``static=False`` none.

        Args:
            n: prompts at most, the first of the order; None: all.
            arms: which models or variants, from the left; None: all.
            scorer: whose scores say where they disagree; None: the first, without scorers the texts.
            order: ``"disagreement"`` first, ``"difference"`` (the most different texts first) or ``"dataset"``.
            static: whether a saved notebook keeps texts.

        Returns:
            ``df`` has a row per prompt, ``html()`` is a table for a page, ``save("side.html")`` writes a file.

        Raises:
            ConfigurationError: no such arm, scorer or order, or no replies.
        """
        from routerlab.views.side import SideBySide

        rows, scorers = self.replies()
        return SideBySide(rows, scorers, arms=arms, n=n, scorer=scorer, order=order, static=static, name=self.name,
                          simulated=self.simulated)  # fmt: skip
