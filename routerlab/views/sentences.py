"""What a comparison says, in words that can be pasted: plain numbers and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routerlab.experiments.outcomes import LEFT_OUT, SUCCESS, OutcomeTable
from routerlab.experiments.verdicts import Difference, Verdict
from routerlab.views.words import count, money, seconds

__all__ = ["amount", "between", "left_out_words", "note", "sentence", "signed", "verdict_word"]

_CORRECTED = "p-values are Holm's, for each measure by itself; intervals are for each pair alone."
_WORDS = {
    "quality": {"better": "better", "worse": "worse", "as good": "as good within the margin"},
    "latency": {"better": "faster", "worse": "slower"},
    "cost": {"better": "cheaper", "worse": "dearer"},
}


def amount(measure: str, value: float | None) -> str:
    """A value of a measure: points of a hundred, a duration, USD for 1,000 answers."""
    if value is None:
        return ""
    if measure == "quality":
        return f"{100 * value:.1f} %"
    return seconds(value) if measure == "latency" else money(1000 * value)


def signed(measure: str, value: float) -> str:
    """A difference with its sign."""
    if measure == "quality":
        return f"{100 * value:+.1f}".replace("-", "\u2212")
    sign = "\u2212" if value < 0 else "+"
    return sign + amount(measure, abs(value))


def between(difference: Difference) -> str:
    """A difference and its interval."""
    if difference.estimate is None or difference.low is None or difference.high is None:
        return ""
    middle, low, high = (
        signed(difference.measure, value) for value in (difference.estimate, difference.low, difference.high)
    )
    return f"{middle} ({low} to {high})"


def verdict_word(difference: Difference) -> str:
    """The verdict on the first model, in the measure's own words."""
    return _WORDS[difference.measure].get(difference.verdict, "undecided")


def sentence(verdict: Verdict, outcomes: OutcomeTable, *, alone: bool = True) -> str:
    """One pair in one sentence.

    Args:
        verdict: of the pair.
        outcomes: where it comes from, for what was left out.
        alone: whether no other pair was looked at; otherwise it says that p is corrected.
    """
    found = verdict.quality
    if found.estimate is None:
        said = f"{found.first} and {found.second} cannot be compared: no prompt has a score of both"
        return f"{said}{_left_out(verdict, outcomes)}."
    rest = [part for part in (_less(verdict.latency), _less(verdict.cost)) if part]
    more = f"; {found.first} is {' and '.join(rest)}" if rest else ""
    return f"{_quality(verdict, outcomes.scorer, alone=alone)}{more}{_left_out(verdict, outcomes)}."


def _quality(verdict: Verdict, scorer: str, *, alone: bool) -> str:
    found = verdict.quality
    prompts = count(found.n, "prompt") + (", each asked several times" if verdict.repeats else "")
    measure = "success" if scorer == SUCCESS else scorer
    name = "p" if alone else "Holm's p"
    p = "" if found.p is None else f", {name} {_p(found.p)}"
    numbers = (
        f"{measure} {amount('quality', found.value_first)} against {amount('quality', found.value_second)}, "
        f"difference {_points(found)}{p}"
    )
    points = f"{100 * (found.margin or 0):g} points"
    match found.verdict:
        case "as good":
            smaller = " (there is a difference, but it is smaller)" if found.p is not None and found.p <= 0.05 else ""
            claim = f"{found.first} is as good as {found.second} within {points}{smaller}"
        case "better" | "worse":
            claim = f"{found.first} is {found.verdict} than {found.second}"
        case _:
            enough = (
                f"about {found.needed:,} prompts should decide it" if found.needed else "how many would do is unknown"
            )
            claim = f"{found.first} against {found.second} is undecided (margin {points}; {enough})"
    return f"On {prompts}, {claim}: {numbers}"


def _points(found: Difference) -> str:
    low, high = signed("quality", found.low or 0.0), signed("quality", found.high or 0.0)
    return f"{signed('quality', found.estimate or 0.0)} points (95 % interval {low} to {high})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def _less(found: Difference) -> str:
    """What latency or cost has to say, in half a sentence; empty where it is unknown."""
    if found.estimate is None:
        return ""
    if found.verdict == "undecided":
        noun = "median latency" if found.measure == "latency" else "cost"
        return f"undecided in {noun} ({between(found)}{' for 1,000 answers' if found.measure == 'cost' else ''})"
    unit = "at the median" if found.measure == "latency" else "for 1,000 answers"
    size = amount(found.measure, abs(found.estimate))
    low, high = sorted(abs(bound or 0.0) for bound in (found.low, found.high))
    return f"{verdict_word(found)} by {size} {unit} ({amount(found.measure, low)} to {amount(found.measure, high)})"


def _left_out(verdict: Verdict, outcomes: OutcomeTable) -> str:
    models = (verdict.quality.first, verdict.quality.second)
    words = left_out_words({model: outcomes.left_out.get(model, {}) for model in models})
    parts = [words.rstrip(".").replace("Left out: ", "") if words else ""]
    if verdict.unpaired:
        parts.append(f"{count(verdict.unpaired, 'prompt')} that only one of them has a score for")
    told = "; ".join(part for part in parts if part)
    return f" (left out: {told})" if told else ""


def left_out_words(left_out: Mapping[str, Mapping[str, int]]) -> str:
    """What is in no figure, by model and reason; empty where nothing was left out."""
    parts = [
        f"{model} {', '.join(f'{n:,} {LEFT_OUT[reason]}' for reason, n in counts.items() if n)}"
        for model, counts in left_out.items()
        if any(counts.values())
    ]
    return f"Left out: {'; '.join(parts)}." if parts else ""


def note(verdicts: Sequence[Verdict], margin: float) -> str:
    """How to read the figures."""
    methods = dict.fromkeys(f"{d.measure}: {d.method}" for v in verdicts for d in v.differences if d.method)
    parts = [
        "First minus second, paired by prompt; cost in USD for 1,000 answers.",
        f"Margin for quality: {100 * margin:g} points.",
        f"{'; '.join(methods)}." if methods else "",
        "p-values are Holm's, for each measure by itself; intervals are for each pair alone."
        if len(verdicts) > 1
        else "",
    ]
    return " ".join(part for part in parts if part)
