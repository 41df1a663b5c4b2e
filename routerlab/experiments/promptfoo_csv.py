"""promptfoo's tests in tables: variables by column, assertions in short form in ``__expected`` columns.

Source: https://www.promptfoo.dev/docs/configuration/test-cases/#csv-format
"""

from __future__ import annotations

import re
from typing import Any

from routerlab.experiments.assertions import TYPES, check_assertion
from routerlab.experiments.fields import FieldError, Fields, Gathered
from routerlab.experiments.templates import fill

__all__ = ["csv_test", "flat_test", "has_expected"]

_EXPECTED = re.compile(r"__expected\d*")
_METADATA = "__metadata:"
_SHORT = re.compile(r"(not-)?([a-z][a-z0-9:-]*?)(?:\((\d+(?:\.\d+)?)\))?(?::(.*))?", re.DOTALL)

# What promptfoo gives a meaning of its own; any other word before a colon is plain text.
# fmt: off
_OTHER_TYPES = {
    "answer-relevance", "bleu", "classifier", "contains-all", "contains-any", "contains-html", "contains-json",
    "contains-sql", "contains-xml", "context-faithfulness", "context-recall", "context-relevance", "eval", "factuality",
    "finish-reason", "fn", "g-eval", "gleu", "grade", "guardrails", "icontains-all", "icontains-any", "is-html",
    "is-refusal", "is-sql", "is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call",
    "is-xml", "javascript", "levenshtein", "llm-rubric", "max-score", "meteor", "model-graded-closedqa",
    "model-graded-factuality", "moderation", "perplexity", "perplexity-score", "pi", "python", "rouge-n", "ruby",
    "search-rubric", "select-best", "similar", "skill-used", "starts-with", "tool-call-f1", "webhook", "word-count",
}
# fmt: on


def has_expected(fields: Fields) -> bool:
    """Whether a row has a column with assertions."""
    return any(_EXPECTED.fullmatch(name) for name in fields)


def csv_test(fields: Fields) -> dict[str, Any]:
    """A row as the test it stands for: ``vars``, ``assert``, ``description``, ``metadata``.

    Raises:
        FieldError: a column or an assertion is not supported.
    """
    test: dict[str, Any] = {"vars": {}, "assert": [], "metadata": {}}
    for name, value in fields.items():
        if not name.startswith("__"):
            test["vars"][name] = "" if value is None else value
        elif value is None:
            continue
        elif _EXPECTED.fullmatch(name):
            test["assert"].append(_assertion(name, value))
        elif name == "__description":
            test["description"] = value
        elif name.startswith(_METADATA) and not name.endswith("[]"):
            test["metadata"][name.removeprefix(_METADATA)] = value
        else:
            raise FieldError(f"the column {name!r} is not supported")
    return test


def flat_test(fields: Fields) -> Fields:
    """A row as one with our fields: the variables as they are, assertions and description as metadata.

    Raises:
        FieldError: a column or an assertion is not supported.
    """
    test = csv_test(fields)
    assertions = fill(test["assert"], test["vars"])
    for assertion in assertions:
        check_assertion(assertion)
    described = {"description": test["description"]} if "description" in test else {}
    return {**test["vars"], "metadata": Gathered({**test["metadata"], **described, "assert": assertions})}


def _assertion(column: str, text: Any) -> dict[str, Any]:
    if not isinstance(text, str):
        return {"type": "equals", "value": text}
    found = _SHORT.fullmatch(text.strip())
    negation, kind, number, value = found.groups() if found else (None, "", None, None)
    if kind in _OTHER_TYPES or text.startswith("file://"):
        raise FieldError(f"{column}: {kind or text!r} is not supported (supported: {', '.join(TYPES)}, plain text)")
    if kind not in TYPES or (value is None and number is None and kind != "is-json"):
        return {"type": "equals", "value": text}
    assertion: dict[str, Any] = {"type": f"{negation or ''}{kind}"}
    if kind in {"cost", "latency"}:
        return {**assertion, "threshold": None if number is None else float(number)}
    if number is not None:
        raise FieldError(f"{column}: {kind} takes no threshold, found ({number})")
    return assertion if value is None else {**assertion, "value": value.strip()}
