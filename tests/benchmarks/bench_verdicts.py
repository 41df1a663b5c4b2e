"""How honest verdicts are: coverage of 95 % intervals, and how often "better" and "as good" are said falsely.

Each line is a kind of data whose truth is known, drawn many times with one seed, and compared as ``run.compare`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from routerlab.experiments.outcomes import OutcomeTable
from routerlab.experiments.verdicts import compare

Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
VARIANTS = ["a", "b"]


def right_or_wrong(first: float, second: float, shared: float) -> Draw:
    """Right at two rates; on `shared` of the prompts both are right."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        easy = rng.random(n) < shared
        parts = [(rate - shared) / (1 - shared) for rate in (first, second)]
        return tuple((easy | (rng.random(n) < part)).astype(float) for part in parts)  # type: ignore[return-value]

    return draw


def repeated(first: float, second: float) -> Draw:
    """Right or wrong, three repeats of each prompt, prompts of very different difficulty."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        difficulty = rng.beta(0.7, 0.7, n)
        return tuple(rng.binomial(3, difficulty * rate) / 3 for rate in (first, second))  # type: ignore[return-value]

    return draw


def graded(shift: float) -> Draw:
    """Scores of a judge, 0…1, skewed."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        return shift + (1 - shift) * rng.beta(4, 1.5, n), rng.beta(4, 1.5, n)

    return draw


def skewed(ratio: float) -> Draw:
    """Latencies or costs: lognormal, part of it the prompt's own."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        own = rng.normal(0, 0.4, n)
        return ratio * np.exp(own + rng.normal(0, 0.5, n)), np.exp(own + rng.normal(0, 0.5, n))

    return draw


def simulate(measure: str, draw: Draw, n: int, trials: int, truth: float) -> Iterator[tuple[bool, str]]:
    """Whether the interval covered the truth, and the verdict, trial by trial."""
    rng = np.random.default_rng(2026)
    for trial in range(trials):
        values = np.stack(draw(rng, n), axis=1)
        blank = np.full_like(values, np.nan)
        columns = dict.fromkeys(("score", "cost_usd", "latency_s"), blank) | {measure: values}
        answers = np.ones_like(values, dtype=np.int64)
        table = OutcomeTable("score", [str(k) for k in range(n)], VARIANTS, **columns, answers=answers, left_out={})
        verdict = compare(table, seed=trial, resamples=2000)[0]
        found = {"score": verdict.quality, "cost_usd": verdict.cost, "latency_s": verdict.latency}[measure]
        yield found.low <= truth <= found.high, found.verdict


def tell(what: str, share: float, low: float, high: float) -> None:
    """Print one share beside what is aimed at."""
    print(f"  -> {what}: {share:.2%}, aim {low:.0%} to {high:.0%}: {'reached' if low <= share <= high else 'MISSED'}",
          flush=True)  # fmt: skip


def main(*, quick: bool) -> None:
    trials = 10 if quick else 2000
    mean, rise = 4 / 5.5, 0.05
    cases = [
        ("right or wrong, equal, 60 prompts", "score", right_or_wrong(0.8, 0.8, 0.6), 60, 0.0),
        ("right or wrong, equal, 200 prompts", "score", right_or_wrong(0.85, 0.85, 0.7), 200, 0.0),
        ("right or wrong, +8 points, 200 prompts", "score", right_or_wrong(0.85, 0.77, 0.6), 200, 0.08),
        ("right or wrong, 3 repeats, equal, 100 prompts", "score", repeated(0.9, 0.9), 100, 0.0),
        ("right or wrong, 3 repeats, +5 points, 100 prompts", "score", repeated(0.9, 0.8), 100, 0.05),
        ("graded, equal, 30 prompts", "score", graded(0.0), 30, 0.0),
        ("graded, higher by 1.4 points, 100 prompts", "score", graded(rise), 100, rise * (1 - mean)),
        ("cost, equal, 30 prompts", "cost_usd", skewed(1.0), 30, 0.0),
        ("cost, half as much again, 200 prompts", "cost_usd", skewed(1.5), 200, 0.5 * np.exp((0.16 + 0.25) / 2)),
        ("median latency, equal, 61 prompts", "latency_s", skewed(1.0), 61, 0.0),
        ("median latency, half as much again, 201 prompts", "latency_s", skewed(1.5), 201, 0.5),
    ]
    for title, measure, draw, n, truth in cases:
        covered, verdicts = zip(*simulate(measure, draw, n, trials, truth), strict=True)
        share = sum(covered) / trials
        tell(f"{title}: coverage", share, 0.93, 0.97)
        if truth == 0:
            said = max(verdicts.count("better"), verdicts.count("worse")) / trials
            tell(f"{title}: false 'better'", said, 0.0, 0.05)
    verdicts = [v for _, v in simulate("score", right_or_wrong(0.85, 0.80, 0.7), 2000, max(10, trials // 4), 0.05)]
    tell("at the margin's edge, 2,000 prompts: false 'as good'", verdicts.count("as good") / len(verdicts), 0.0, 0.05)

    tell("four equal models, 150 prompts: any false verdict", sum(_family(trials // 2 or 1)) / (trials // 2), 0.0, 0.05)


def _family(trials: int) -> Iterator[bool]:
    """Whether any of six comparisons of equal models found a better one."""
    rng = np.random.default_rng(2027)
    for trial in range(trials):
        easy = rng.random((150, 1)) < 0.6
        score = (easy | (rng.random((150, 4)) < 0.5)).astype(float)
        blank, ones = np.full_like(score, np.nan), np.ones_like(score, dtype=np.int64)
        table = OutcomeTable("score", [str(k) for k in range(150)], list("abcd"), score=score, cost_usd=blank,
                             latency_s=blank, answers=ones, left_out={})  # fmt: skip
        yield any(v.quality.verdict in {"better", "worse"} for v in compare(table, seed=trial))


if __name__ == "__main__":
    main(quick=False)
