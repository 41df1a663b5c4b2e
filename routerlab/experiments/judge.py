"""A model as a judge of other models' replies: what is asked of whom. `Judging` does the asking."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routerlab.core.checks import is_whole
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.items import Item
from routerlab.experiments.scorer import Scorer

__all__ = ["Judge", "family", "judge", "own_family", "split_judges", "warn_of_family"]

_RUBRIC = (
    "Is the answer correct, complete and to the point? Judge what it says, not how it says it. "
    "Where a reference is given, it is right."
)
_FAMILIES = {
    "claude": "claude", "gpt": "gpt", "chatgpt": "gpt", "o1": "gpt", "o3": "gpt", "o4": "gpt", "gemini": "gemini",
    "gemma": "gemini", "llama": "llama", "mistral": "mistral", "mixtral": "mistral", "ministral": "mistral",
    "magistral": "mistral", "codestral": "mistral", "qwen": "qwen", "qwq": "qwen", "deepseek": "deepseek",
    "command": "command", "grok": "grok", "phi": "phi", "nova": "nova", "kimi": "kimi", "glm": "glm",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+\d*")


def _not_alone(text: str, target: Any, item: Item) -> None:
    raise ConfigurationError("a judge sends calls: give it to lab.replay(scorers=[…]) or run.score([…])")


@dataclass(frozen=True, kw_only=True)
class Judge(Scorer):
    """A scorer that asks a model; `judge` makes one.

    Attributes:
        model: ``provider/model`` that is asked.
        rubric: what counts.
        scale: the best score; 1 is the worst.
        pairwise: whether it compares the arms' replies to the same item.
        params: for its calls.
    """

    model: str
    rubric: str = _RUBRIC
    scale: int = 5
    pairwise: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """What decides its verdicts, as plain data."""
        own = {"model": self.model, "rubric": self.rubric, "scale": self.scale, "pairwise": self.pairwise}
        return {**own, "params": dict(self.params)}


def judge(
    model: str,
    *,
    rubric: str = _RUBRIC,
    scale: int = 5,
    pairwise: bool = False,
    name: str = "judge",
    **params: Any,
) -> Judge:
    """A model that scores replies, as a scorer for ``lab.replay`` or ``run.score``.

    It sees the question, the reference (the item's target) where there is one, and the reply, not who wrote it. Its
    calls have the purpose ``"judge"``: they count against the run's budget and stand in ``lab.calls()``, but not in
    ``lab.metrics()`` nor in the latencies and costs of the run's summary; their cost is a note of the run. (Breakers
    and routing scores do hear of them: a judge that fails is a model that fails.) Its reasons are in ``run.df`` as
    ``reason_<name>``, its whole replies among the texts.

    A judgement that cannot be read is a missing score with an error, counted in the notes and in no mean. Models tend
    to prefer their own: a judge of the same family as a judged model is warned of.

    Args:
        model: ``provider/model`` of the lab.
        rubric: what makes a reply good, in words.
        scale: scores go from 1 to this, at least 2; they are kept as 0…1.
        pairwise: compare the replies of each two arms to the same item instead: 1 for the better one, 0.5 for a tie, 0;
            with more than two arms the mean over the others. Each pair is judged in both orders; where that changes the
            winner, it is a tie, and counted as a flip.
        name: of the scorer.
        params: ``temperature``, ``max_tokens``, … for its calls.

    Raises:
        ConfigurationError: no model's name, no rubric, or a scale below 2.
    """
    if not isinstance(model, str) or "/" not in model:
        raise ConfigurationError(f"judge({model!r}): expected the name of a model, provider/model")
    if not isinstance(rubric, str) or not rubric.strip():
        raise ConfigurationError("judge(rubric=…): expected words that say what makes a reply good")
    if not is_whole(scale, 2):
        raise ConfigurationError(f"judge(scale={scale!r}): expected a whole number of at least 2")
    return Judge(name, _not_alone, model=model, rubric=rubric, scale=scale, pairwise=pairwise, params=params)


def split_judges(scorers: Iterable[Scorer]) -> tuple[list[Scorer], list[Judge]]:
    """The scorers that are functions, and the judges."""
    every = list(scorers)
    judges = [scorer for scorer in every if isinstance(scorer, Judge)]
    return [scorer for scorer in every if not isinstance(scorer, Judge)], judges


def family(model: str) -> str | None:
    """The family of a model by its name; None for an unknown one.

    Example:
        >>> family("openai/gpt-4o-mini"), family("openrouter/anthropic/claude-sonnet-4"), family("sim/alpha")
        ('gpt', 'claude', None)
    """
    words = _WORD.findall(model.partition("/")[2].lower())
    keys = [key for word in words for key in (word, word.rstrip("0123456789"))]
    return next((_FAMILIES[key] for key in keys if key in _FAMILIES), None)


def own_family(judge_model: str, models: Iterable[str]) -> list[str]:
    """Those of the models that are of the judge's family: by name, or of its provider where a name tells nothing."""
    own, provider = family(judge_model), judge_model.partition("/")[0]
    found = []
    for model in dict.fromkeys(models):
        other = family(model)
        known = own is not None and other is not None
        if own == other if known else provider == model.partition("/")[0]:
            found.append(model)
    return found


def warn_of_family(judges: Sequence[Judge], models: Iterable[str]) -> None:
    """Warn of judges that judge models of their own family, at the line of the user's that asked for it.

    Warns:
        UserWarning: one for each such judge.
    """
    listed = list(models)
    for one in judges:
        kin = own_family(one.model, listed)
        if kin:
            text = f"the judge {one.model} judges its own family ({', '.join(kin)}): models tend to prefer their own"
            warnings.warn(text, UserWarning, stacklevel=_frames_of_ours() + 1)


def _frames_of_ours() -> int:
    """How many frames of this package lie between the caller and the user."""
    frame, ours = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "routerlab":
        frame, ours = frame.f_back, ours + 1
    return ours - 1
