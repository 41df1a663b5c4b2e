"""Routing rules, and what they would have scored and cost on prompts that every model has answered already.

A rule turns a table of outcomes into a plan: which models it calls for each prompt, and whose answer counts. Chance is
not drawn but counted as weights, so that the same rule always gives the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from routerlab.core.errors import ConfigurationError
from routerlab.core.suggest import nearest
from routerlab.experiments.outcomes import OutcomeTable, number

__all__ = ["Plan", "Policy", "Roles", "always", "cascade", "oracle", "random_mix", "resolve_policy", "threshold"]

Values = NDArray[np.float64]
Feature = str | Callable[[Mapping[str, Any]], Any]
Judge = str | Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Roles:
    """Which of a table's models is the weak one and which the strong one: names."""

    weak: str
    strong: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rule does: prompts down, the table's models across.

    Attributes:
        calls: how often (or with which probability) each model is called.
        answers: with which probability its answer counts; each row sums to 1.
    """

    calls: Values
    answers: Values


class Policy(Protocol):
    """A routing rule; anything with these serves."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    def plan(self, table: OutcomeTable, roles: Roles) -> Plan:
        """What it does on these prompts."""

    def router(self, table: OutcomeTable, roles: Roles) -> Values | None:
        """Its number for each prompt (higher: rather to the strong model); None where it is no threshold on one."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule made of functions."""

    name: str
    make: Callable[[OutcomeTable, Roles], Plan]
    number: Callable[[OutcomeTable, Roles], Values] | None = None

    def plan(self, table: OutcomeTable, roles: Roles) -> Plan:
        return self.make(table, roles)

    def router(self, table: OutcomeTable, roles: Roles) -> Values | None:
        return None if self.number is None else self.number(table, roles)


def always(model: str) -> Policy:
    """Every prompt to one model: its name, ``"weak"`` or ``"strong"``."""

    def make(table: OutcomeTable, roles: Roles) -> Plan:
        return _one_call(table, np.full(len(table.items), table.column(_named(model, table, roles))))

    return _Rule(f"always {model}", make)


def random_mix(strong: float) -> Policy:
    """A part of the prompts to the strong model, whichever: what any rule must beat.

    Args:
        strong: the part, 0…1. The figures are the expected ones, so no seed is needed.
    """
    if not 0 <= strong <= 1:
        raise ConfigurationError(f"random_mix({strong!r}): expected the strong model's part, 0…1")

    def make(table: OutcomeTable, roles: Roles) -> Plan:
        weights = np.zeros_like(table.score)
        weights[:, table.column(roles.weak)] += 1 - strong
        weights[:, table.column(roles.strong)] += strong
        return Plan(weights, weights)

    return _Rule(f"random {100 * strong:g} % strong", make, lambda table, roles: np.zeros(len(table.items)))


def threshold(feature: Feature, at_least: float, *, name: str | None = None) -> Policy:
    """The strong model where a number known beforehand is large enough, the weak one elsewhere.

    Args:
        feature: ``"prompt_length"`` (characters), a column of the dataset's metadata, or a function of a prompt's
            features (``prompt``, ``prompt_length`` and the metadata).
        at_least: from where on the strong model is asked, in the feature's unit.
        name: in tables.

    Raises:
        ConfigurationError: `at_least` is no number; or, when it is used: a prompt has no such number.
    """
    label = _label(feature)
    _check_bound("threshold", at_least)

    def numbers(table: OutcomeTable, roles: Roles) -> Values:
        return np.array(
            [_feature(feature, known, item) for known, item in zip(table.features, table.items, strict=True)]
        )

    def make(table: OutcomeTable, roles: Roles) -> Plan:
        strong = numbers(table, roles) >= at_least
        return _one_call(table, np.where(strong, table.column(roles.strong), table.column(roles.weak)))

    return _Rule(name or f"{label} >= {at_least:g}", make, numbers)


def cascade(
    judge: Judge, at_least: float = 0.5, *, models: Sequence[str] | None = None, name: str | None = None
) -> Policy:
    """Ask one model after the other until an answer is good enough; every call is paid for and waited for.

    Args:
        judge: a score of the run (``"judge"`` reads ``score_judge``), or a function of an answer's row that gives a
            number or a bool. A score that knows the right answer makes a cascade that no one could run.
        at_least: from where on an answer is kept. An answer that the judge could not score is not kept.
        models: in their order, ``"weak"`` and ``"strong"`` understood; None: those two. The last one's answer is kept.
        name: in tables.

    Raises:
        ConfigurationError: `at_least` is no number.
    """
    label = _label(judge)
    _check_bound("cascade", at_least)

    def make(table: OutcomeTable, roles: Roles) -> Plan:
        order = [table.column(_named(model, table, roles)) for model in models or ("weak", "strong")]
        calls, answers = np.zeros_like(table.score), np.zeros_like(table.score)
        for place, item in enumerate(table.items):
            for column in order:
                calls[place, column] = 1.0
                if column == order[-1] or _accepted(judge, table, item, table.variants[column], at_least):
                    answers[place, column] = 1.0
                    break
        return Plan(calls, answers)

    return _Rule(name or f"cascade on {label} >= {at_least:g}", make)


def _check_bound(rule: str, at_least: Any) -> None:
    if not isinstance(at_least, Real):  # NumPy's are, too
        raise ConfigurationError(f"{rule}: at_least={at_least!r}: expected one number; route() takes several rules")


def oracle() -> Policy:
    """For every prompt the best answer, of equally good ones the cheapest: what no rule can beat.

    Where costs are unknown, the weaker model (over all prompts) counts as the cheaper one.
    """

    def make(table: OutcomeTable, roles: Roles) -> Plan:
        means = table.score.mean(axis=0)
        cost = table.cost_usd if not np.isnan(table.cost_usd).any() else np.broadcast_to(means, table.score.shape)
        best = table.score >= table.score.max(axis=1, keepdims=True) - 1e-12
        return _one_call(table, np.where(best, cost, np.inf).argmin(axis=1))

    return _Rule("oracle", make)


_BY_NAME: dict[str, Callable[[], Policy]] = {
    "always-strong": lambda: always("strong"),
    "always-weak": lambda: always("weak"),
    "oracle": oracle,
    "random": lambda: random_mix(0.5),
}


def resolve_policy(policy: Any) -> Policy:
    """A rule from what a user writes: a rule, or ``always-weak``, ``always-strong``, ``random``, ``oracle``.

    Raises:
        ConfigurationError: neither.
    """
    if isinstance(policy, str):
        if policy not in _BY_NAME:
            raise ConfigurationError(f"unknown policy {policy!r}{nearest(policy, _BY_NAME)}")
        return _BY_NAME[policy]()
    if all(hasattr(policy, attribute) for attribute in ("name", "plan", "router")):
        rule: Policy = policy
        return rule
    raise ConfigurationError(f"{policy!r} is no policy: expected a name or one of routerlab.experiments.policies")


def _label(given: Feature | Judge) -> str:
    if isinstance(given, str):
        return given
    name = getattr(given, "__name__", "<lambda>")
    return "a function" if name == "<lambda>" else name


def _named(model: str, table: OutcomeTable, roles: Roles) -> str:
    if model in table.variants:
        return model
    return {"weak": roles.weak, "strong": roles.strong}.get(model, model)


def _one_call(table: OutcomeTable, columns: NDArray[Any]) -> Plan:
    weights = np.zeros_like(table.score)
    weights[np.arange(len(columns)), columns] = 1.0
    return Plan(weights, weights)


def _feature(feature: Feature, known: Mapping[str, Any], item: str) -> float:
    if isinstance(feature, str) and feature not in known:
        raise ConfigurationError(f"prompt {item!r} has no feature {feature!r}{nearest(feature, known)}")
    value = known[feature] if isinstance(feature, str) else feature(known)
    try:
        found = number(value)
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise ConfigurationError(f"prompt {item!r}: the feature is {value!r}, not a number")
    return found


def _accepted(judge: Judge, table: OutcomeTable, item: str, variant: str, at_least: float) -> bool:
    rows = table.rows.get((item, variant), ())
    if isinstance(judge, str) and rows and f"score_{judge}" not in rows[0]:
        scores = [str(name)[6:] for name in rows[0] if str(name).startswith("score_")]
        raise ConfigurationError(f"no score {judge!r} to judge by{nearest(judge, scores)}")
    given = [number(row[f"score_{judge}"] if isinstance(judge, str) else judge(row)) for row in rows]
    values = [value for value in given if value is not None]
    return bool(values) and math.fsum(values) / len(values) >= at_least
