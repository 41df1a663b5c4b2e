"""What a comparison says, in words that can be pasted: plain numbers and their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from routerlab.experiments.outcomes import LEFT_OUT, SUCCESS, OutcomeTable
from routerlab.experiments.verdicts import Difference, Verdict
from routerlab.views.words import count, money, seconds

__all__ = [
    "amount",
    "between",
    "in_short",
    "interval",
    "left_out_words",
    "needed",
    "note",
    "p_value",
    "sentence",
    "signed",
    "verdict_word",
]

_HOLM = "Holm's p"
_MOST = 1_000_000  # prompts; beyond, a number says nothing
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
    """A difference with its sign; one that is too small to be seen has none.

    >>> signed("quality", 0.0123), signed("latency", 0.047), signed("latency", -0.0001)
    ('+1.2', '+47 ms', '0 ms')
    """
    size = f"{abs(100 * value):.1f}" if measure == "quality" else amount(measure, abs(value))
    sign = "\u2212" if value < 0 else "+"
    return sign + size if set(size) & set("123456789") else size


def interval(difference: Difference) -> str:
    """The 95 % interval of a difference; empty where it is unknown."""
    if difference.low is None or difference.high is None:
        return ""
    return f"{signed(difference.measure, difference.low)} to {signed(difference.measure, difference.high)}"


def between(difference: Difference) -> str:
    """A difference and its interval."""
    if difference.estimate is None or difference.low is None or difference.high is None:
        return ""
    return f"{signed(difference.measure, difference.estimate)} ({interval(difference)})"


def needed(difference: Difference) -> str:
    """How many prompts should decide it, as far as anybody could ask them; empty where that is unknown."""
    if difference.needed is None:
        return ""
    return f"about {difference.needed:,}" if difference.needed <= _MOST else f"over {_MOST:,}"


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
    more = "".join(_rest(found.first, (verdict.latency, verdict.cost)))
    return f"{_quality(verdict, outcomes.scorer, alone=alone)}{more}{_left_out(verdict, outcomes)}."


def _quality(verdict: Verdict, scorer: str, *, alone: bool) -> str:
    found = verdict.quality
    prompts = count(found.n, "prompt") + (", each asked several times" if verdict.repeats else "")
    measure = _measure(scorer)
    numbers = (
        f"{measure} {amount('quality', found.value_first)} against {amount('quality', found.value_second)}, "
        f"difference {signed('quality', found.estimate or 0.0)} points (95 % interval {interval(found)})"
        f"{_p(found, 'p' if alone else _HOLM)}"
    )
    return f"On {prompts}, {_claim(found)}: {numbers}"


def _measure(scorer: str) -> str:
    return "success" if scorer == SUCCESS else scorer


def _p(found: Difference, name: str) -> str:
    return "" if found.p is None else f", {name} {'' if found.p < 0.001 else '= '}{p_value(found.p)}"


def _claim(found: Difference) -> str:
    """What is said of the first model's quality."""
    points = f"{100 * (found.margin or 0):g} points"
    match found.verdict:
        case "as good":
            smaller = " (there is a difference, but it is smaller)" if found.p is not None and found.p <= 0.05 else ""
            return f"{found.first} is as good as {found.second} within {points}{smaller}"
        case "better" | "worse":
            return f"{found.first} is {found.verdict} than {found.second}"
    enough = f"{needed(found)} prompts should decide it" if found.needed else "how many would do is unknown"
    return f"{found.first} against {found.second} is undecided (margin {points}; {enough})"


def in_short(verdicts: Sequence[Verdict], outcomes: OutcomeTable) -> str:
    """Several pairs in one sentence: the mean of each model, and what is said of the quality of each pair."""
    pairs = [verdict.quality for verdict in verdicts]
    models = dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second))
    means = {name: mean for name in models if (mean := outcomes.mean(name)) is not None}
    best = sorted(means, key=lambda name: -means[name])
    scores = ", ".join(f"{name} {amount('quality', means[name])}" for name in best)
    some, most = min(pair.n for pair in pairs), max(pair.n for pair in pairs)
    prompts = count(most, "prompt") if some == most else f"{some:,} to {count(most, 'prompt')}"
    words = left_out_words({name: outcomes.left_out.get(name, {}) for name in models}).rstrip(".")
    told = f" ({words[0].lower()}{words[1:]})" if words else ""
    return f"On {prompts}, {_measure(outcomes.scorer)} ({scores}): {'; '.join(map(_clause, pairs))}{told}."


def _clause(found: Difference) -> str:
    if found.estimate is None:
        return f"{found.first} and {found.second} cannot be compared"
    return f"{_claim(found)}, {signed('quality', found.estimate)} points ({interval(found)}{_p(found, _HOLM)})"


def p_value(p: float) -> str:
    """A p-value for people; below 0.001 that much and no more."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def _rest(first: str, differences: Sequence[Difference]) -> Iterator[str]:
    """What latency and cost have to say, as far as they are known: what is decided, then what is not."""
    known = [found for found in differences if found.estimate is not None]
    decided = [_decided(found) for found in known if found.verdict != "undecided"]
    if decided:
        yield f"; {first} is {' and '.join(decided)}"
    names = {"latency": ("median latency", ""), "cost": ("cost", " for 1,000 answers")}
    open_ = [
        f"{names[found.measure][0]} ({signed(found.measure, found.estimate or 0.0)}{names[found.measure][1]}, "
        f"{interval(found)})"
        for found in known
        if found.verdict == "undecided"
    ]
    if open_:
        yield f"; undecided in {' and '.join(open_)}"


def _decided(found: Difference) -> str:
    unit = "at the median" if found.measure == "latency" else "for 1,000 answers"
    size = amount(found.measure, abs(found.estimate or 0.0))
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
