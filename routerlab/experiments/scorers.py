"""Scorers: how good a reply is, 0…1, against the target that a dataset knows.

A scorer never stops a run: where it raises or returns nonsense, the score is missing and the error is kept beside it.
"""

from __future__ import annotations

import inspect
import math
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

from routerlab.core.errors import ConfigurationError
from routerlab.experiments.assertions import share_that_holds
from routerlab.experiments.choices import choice
from routerlab.experiments.items import Item
from routerlab.experiments.judge import Judge
from routerlab.experiments.numbers import last_number, only_number
from routerlab.experiments.schema import json_schema
from routerlab.experiments.scorer import ScoreFunction, Scorer, ScoreResult, any_of, folded, written
from routerlab.experiments.similarity import similarity
from routerlab.experiments.threads import in_thread, result_of

__all__ = [
    "ScoreResult",
    "Scorer",
    "asserts",
    "choice",
    "contains",
    "exact",
    "json_schema",
    "numeric",
    "regex",
    "resolve_scorers",
    "score_row",
    "scored",
    "similarity",
]

_PAGE = 10_000  # characters
_QUOTES = "\"'`*\u201c\u201d\u2018\u2019\u201e\xab\xbb"  # straight and curly quotes, and Markdown's emphasis


def exact() -> Scorer:
    """1 when the reply is the target, apart from case, white space, quotes, emphasis and a closing full stop.

    Example:
        >>> exact().score("**Paris.**", "paris", Item("1"))
        True
    """
    return Scorer("exact", lambda text, target, item: any_of(target, lambda answer: _same(text, answer)), quick=True)


def contains() -> Scorer:
    """1 when the target stands anywhere in the reply, with the same tolerance as ``exact``.

    Inside words and numbers too: ``6`` is found in ``16``. For short targets ``exact``, ``numeric`` or ``regex`` say
    more.
    """

    def holds(text: str, target: Any, _: Item) -> bool | None:
        return any_of(target, lambda answer: _normal(answer) in folded(text))

    return Scorer("contains", holds, quick=True)


def regex(pattern: str, *, name: str = "regex", flags: int = 0) -> Scorer:
    r"""1 when a group of the last match in the reply is the target.

    Args:
        pattern: where it has groups, they are compared with the target as ``exact`` does. Without groups, or for an
            item without a target, a match anywhere in the reply is enough.
        name: of the scorer.
        flags: of ``re``, such as ``re.IGNORECASE``.

    Example:
        >>> regex(r"answer: (\w+)").score("I think so; answer: Yes", "yes", Item("1"))
        True
    """
    try:
        compiled = re.compile(pattern, flags)
    except re.error as error:
        raise ConfigurationError(f"regex({pattern!r}): {error}") from None
    return Scorer(name, lambda text, target, item: _matches(compiled, text, target))


def numeric(*, tolerance: float = 0.0, relative_tolerance: float = 1e-9, name: str = "numeric") -> Scorer:
    """1 when the last number in the reply equals the target's.

    Reads ``1,234.5``, ``-7``, ``$5``, ``15%`` (as 15), ``3/4``, ``1 3/4``, ``1.5e3``, ``2 x 10^5``; after ``####`` (as
    GSM8K writes) the first number counts. A target that does not hold exactly one number has no numeric score.

    Args:
        tolerance: the largest difference that still counts, in the target's unit; the default asks for equality.
        relative_tolerance: the same as a part of the larger of the two; the default forgives only binary rounding.
        name: of the scorer.

    Example:
        >>> numeric(tolerance=0.01).score("So that makes $1,234.50.", "#### 1234.5", Item("1"))
        True
    """
    close = partial(math.isclose, rel_tol=relative_tolerance, abs_tol=tolerance)
    return Scorer(name, lambda text, target, item: _numbers_agree(text, target, close), quick=True)


def resolve_scorers(scorers: Any) -> list[Scorer]:
    """Scorers from what a user writes.

    Args:
        scorers: one of these or a list of them: a name (``"exact"``, ``"contains"``, ``"numeric"``, ``"asserts"``,
            ``"choice"``,
            ``"similarity"``), a ``Scorer``, an object with ``name`` and ``score``, or a function of ``(text, target)``
            or ``(text, target, item)``, plain or async. None: no scorers.

    Raises:
        ConfigurationError: an unknown name, something that cannot be called so, or one name twice.
    """
    if scorers is None:
        return []
    one = isinstance(scorers, str) or callable(scorers) or not isinstance(scorers, Iterable)
    resolved = [_resolve(scorer) for scorer in ([scorers] if one else scorers)]
    names = [scorer.name for scorer in resolved]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        judges = all(isinstance(scorer, Judge) for scorer in resolved if scorer.name == twice[0])
        own = "rl.judge(…, name='name')" if judges else "Scorer('name', function)"
        raise ConfigurationError(f"two scorers are named {twice[0]!r}; name one yourself: {own}")
    return resolved


async def scored(scorers: Sequence[Scorer], text: str | None, item: Item) -> list[ScoreResult]:
    """`score_row`, for an event loop: what may take long runs in a thread."""
    if len(text or "") <= _PAGE and all(scorer.quick for scorer in scorers):
        return score_row(scorers, text, item)
    return await in_thread(partial(score_row, scorers, text, item))


def score_row(scorers: Sequence[Scorer], text: str | None, item: Item) -> list[ScoreResult]:
    """What each scorer says of one reply. It may take long: not for an event loop's own thread.

    Args:
        scorers: as from ``resolve_scorers``.
        text: of the reply; None (a failed call) has no scores.
        item: what was asked.

    Returns:
        One result per scorer, in their order. Nothing is raised: a scorer's error is in its result.
    """
    return [_score(scorer, text, item) for scorer in scorers]


def asserts() -> Scorer:
    """The share of an item's own assertions that hold: those under ``assert`` in its metadata.

    Without assertions there is no score; one that cannot be checked (a cost that nobody knows) is an error.
    """
    return Scorer("asserts", lambda text, target, item: share_that_holds(text, item))


_BUILT_IN: dict[str, Callable[..., Scorer]] = {
    made.__name__: made for made in (asserts, choice, contains, exact, json_schema, numeric, regex, similarity)
}
_NEED_MORE = {
    "json_schema": "its schema: json_schema({'type': 'object'})",
    "regex": "its pattern: regex(r'answer: (.+)')",
}


def _score(scorer: Scorer, text: str | None, item: Item) -> ScoreResult:
    if text is None:
        return ScoreResult(scorer.name, None)
    try:
        value = scorer.score(text, item.target, item)
        return ScoreResult(scorer.name, _checked(result_of(value) if inspect.isawaitable(value) else value))
    except BaseException as error:  # the user's own code: whatever it raises becomes the result's error
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise  # not the scorer's: somebody at a keyboard
        return ScoreResult(scorer.name, None, f"{type(error).__name__}: {error}")


def _checked(value: Any) -> float | None:
    if value is None:
        return None
    if callable(getattr(value, "item", None)):  # numpy's scalars; its bool is no Python number
        value = value.item()
    if not isinstance(value, int | float):
        raise TypeError(f"a score is a number in 0…1, a bool or None, not {value!r:.80}")
    if not 0 <= value <= 1:  # also refuses NaN
        raise ValueError(f"a score is in 0…1, not {value!r}")
    return float(value)


def _resolve(scorer: Any) -> Scorer:
    if isinstance(scorer, Scorer):
        return scorer
    if isinstance(scorer, str) and scorer not in _BUILT_IN:
        close = get_close_matches(scorer, _BUILT_IN, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigurationError(f"unknown scorer {scorer!r}{hint} (built in: {', '.join(_BUILT_IN)})")
    factory = _BUILT_IN[scorer] if isinstance(scorer, str) else scorer
    for name, built_in in _BUILT_IN.items():
        if factory is built_in and name in _NEED_MORE:
            raise ConfigurationError(f"{name} needs {_NEED_MORE[name]}")
        if factory is built_in:
            return factory()
    if isinstance(getattr(scorer, "name", None), str) and callable(getattr(scorer, "score", None)):
        return Scorer(scorer.name, scorer.score)
    if callable(scorer):
        return Scorer(_function_name(scorer), _adapted(scorer))
    raise ConfigurationError(f"{scorer!r} is no scorer: expected a name, a Scorer or a function of (text, target)")


def _function_name(function: Any) -> str:
    inner = function.func if isinstance(function, partial) else function
    return getattr(inner, "__name__", type(inner).__name__).strip("<>")


def _adapted(function: Callable[..., Any]) -> ScoreFunction:
    """The function as one of three arguments, whether it takes the item or not."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return lambda text, target, item: function(text, target)
    for arguments in (3, 2):
        try:
            signature.bind(*range(arguments))
        except TypeError:
            continue
        return function if arguments == 3 else lambda text, target, item: function(text, target)
    raise ConfigurationError(
        f"{_function_name(function)}{signature} is no scorer: it must take (text, target) or (text, target, item)"
    )


def _same(text: str, answer: str) -> bool:
    return _normal(text) == _normal(answer)


def _normal(text: str) -> str:
    """Without what models put around an answer; signs, brackets and leading points stay, for they change it."""
    plain = folded(text)
    return plain.lstrip(_QUOTES).rstrip(_QUOTES + ".,;:!? ").strip() or plain


def _matches(pattern: re.Pattern[str], text: str, target: Any) -> bool:
    last = None
    for last in pattern.finditer(text):  # noqa: B007 - only the last one is wanted
        pass
    if last is None or not pattern.groups:
        return last is not None
    found = [group for group in last.groups() if group is not None]
    agrees = any_of(target, lambda answer: any(_same(group, answer) for group in found))
    return True if agrees is None else agrees


def _numbers_agree(text: str, target: Any, close: Callable[[float, float], bool]) -> bool | None:
    targets = [only_number(written(answer)) for answer in (target if isinstance(target, list) else [target])]
    wanted = [number for number in targets if number is not None]
    if not wanted:
        return None
    found = last_number(text)
    return found is not None and any(close(found, number) for number in wanted)
