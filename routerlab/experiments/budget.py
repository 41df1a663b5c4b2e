"""The money of a run: reserved before a call, settled after it, every attempt counted.

What is reserved is the most that the call may cost: its prompt, and `max_tokens` of output. Without a limit to the
output it is what nearly all answers so far have needed (the 99th percentile), after a pilot of a few answers for which
a generous length is taken. All tries that the retry rules allow are reserved, because a broken answer is billed too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from routerlab.core.types import TokenUsage
from routerlab.session.results import AttemptRecord, CallSpec

__all__ = [
    "JUDGED_OUT",
    "NO_MONEY",
    "PILOT",
    "PILOT_TOKENS",
    "Budget",
    "Price",
    "max_output",
    "prompt_tokens",
    "prompts_of_turns",
]

Price = Callable[[str, TokenUsage], float | None]
"""USD for so many tokens of a model; None where nobody knows."""

PILOT = 10  # answers of an arm after which their lengths say something
PILOT_TOKENS = 1024  # taken for the length of an answer until then
NO_MONEY = "stopped at its budget"  # how the note on that begins
JUDGED_OUT = "the budget was reached"  # how judges say it
_BYTES_PER_TOKEN = 3  # a high estimate of the tokens, so that too much is reserved rather than too little
_OF_A_MESSAGE = 8
_LATEST = 1000
_MARGIN = 1e-9


def prompt_tokens(messages: Iterable[Mapping[str, Any]], params: Mapping[str, Any] | None = None) -> int:
    """A high estimate of the tokens of a prompt.

    >>> prompt_tokens([{"role": "user", "content": "Why is the sky blue?"}])
    15
    """
    tools = (params or {}).get("tools")
    size = len(str(tools).encode()) if tools else 0
    count = 0
    for message in messages:
        content = message.get("content")
        size += len((content if isinstance(content, str) else str(content or "")).encode("utf-8", "replace"))
        count += 1
    return -(-size // _BYTES_PER_TOKEN) + _OF_A_MESSAGE * count


def max_output(params: Mapping[str, Any]) -> int | None:
    """How many tokens the answer may have at most; None: as many as the model likes."""
    given = next((params[n] for n in ("max_tokens", "max_completion_tokens") if params.get(n) is not None), None)
    return given if isinstance(given, int) and given > 0 else None


def prompts_of_turns(first: int, later: Iterable[str], length: int) -> list[int]:
    """High estimates of the tokens of each prompt of a conversation; the first one's are known.

    >>> prompts_of_turns(15, ["And at night?"], length=100)
    [15, 136]
    """
    prompts = [first]
    for turn in later:
        prompts.append(prompts[-1] + _OF_A_MESSAGE + length + prompt_tokens([{"content": turn}]))
    return prompts


class Budget:
    """What a run may spend, has spent and has reserved.

    Args:
        limit_usd: None: no limit; it only counts.
        price: what tokens cost; None: unknown for all models.
        models: of each arm, those that may answer.
        tries: that one model may get in one call.
    """

    def __init__(
        self,
        limit_usd: float | None = None,
        *,
        price: Price | None = None,
        models: Sequence[Sequence[str]] = (),
        tries: int = 2,
    ) -> None:
        self.limit_usd = limit_usd
        self.known_usd: float | None = None  # billed with a usage and a price
        self.unpriced = 0  # answers of which nobody knows what they cost
        self.aside_usd = 0.0  # for what is asked before the first item
        self.guessed_usd = 0.0  # of attempts that may have been billed without a word
        self._price: Price = price or (lambda model, usage: None)
        self._models, self._tries = models, tries
        self._reserved: dict[Any, float] = {}
        self._lengths: dict[str | None, deque[int]] = {}
        self._p99: dict[str | None, int] = {}

    @property
    def spent_usd(self) -> float:
        """So far, what is guessed included."""
        return (self.known_usd or 0.0) + self.guessed_usd

    @property
    def exhausted(self) -> bool:
        """Whether everything is spent."""
        return self.limit_usd is not None and self.spent_usd >= self.limit_usd - _MARGIN

    @property
    def in_flight(self) -> bool:
        """Whether reservations may still be given back."""
        return bool(self._reserved)

    @property
    def reserved_usd(self) -> float:
        """For calls in flight."""
        return sum(self._reserved.values())

    def reserve(self, key: Any, arm: int | str, spec: CallSpec, later: Sequence[str] = ()) -> bool:
        """Set aside the most that a call of an arm, or of a model, may cost; False where there is not so much left.

        Args:
            key: names the reservation.
            arm: whose call it is.
            spec: what is asked.
            later: what is said after the first answer, each in a call of its own that holds all before it.
        """
        if self.limit_usd is None:
            return True
        most = self.most_usd(arm, spec, later)
        if self.exhausted or self.spent_usd + self.aside_usd + self.reserved_usd + most > self.limit_usd + _MARGIN:
            return False
        self._reserved[key] = most
        return True

    def most_usd(self, arm: int | str, spec: CallSpec, later: Sequence[str] = ()) -> float:
        """What a call, and those after it, may cost at most, all their tries together."""
        if isinstance(arm, str):
            models: Sequence[str] = (arm,)
        else:
            models = self._models[arm] if arm < len(self._models) else ()
        answered = self.output_tokens(spec)
        prompts = prompts_of_turns(prompt_tokens(spec.messages, spec.params), later, answered)
        calls = [TokenUsage(asked, answered, asked + answered) for asked in prompts]
        return self._tries * sum(self._price(model, usage) or 0.0 for model in models for usage in calls)

    def output_tokens(self, spec: CallSpec) -> int:
        """How long the answer may become: its limit, else what nearly all answers of this arm needed."""
        return max_output(spec.params) or self._p99.get(spec.variant) or PILOT_TOKENS

    def settle(self, key: Any, spec: CallSpec, attempts: Iterable[AttemptRecord | Mapping[str, Any]]) -> None:
        """Give a reservation back and count what the attempts cost."""
        self._reserved.pop(key, None)
        for attempt in attempts:
            self.count(spec, attempt if isinstance(attempt, Mapping) else _plain(attempt))

    def count(self, spec: CallSpec, attempt: Mapping[str, Any]) -> None:
        """Count one attempt: what it cost, or may have cost where it broke off."""
        cost = attempt["cost_usd"]
        if cost is not None:
            self.known_usd = (self.known_usd or 0.0) + cost
        elif attempt["outcome"] == "ok":
            self.unpriced += 1
        elif attempt["maybe_billed"]:
            self.guessed_usd += self._guess(spec, attempt)
        tokens = attempt["completion_tokens"]
        if tokens is not None and attempt["outcome"] == "ok":
            self._learn(spec.variant, tokens)

    def _guess(self, spec: CallSpec, attempt: Mapping[str, Any]) -> float:
        """A stream that broke is billed for what came; of an answer that never came nobody knows the length."""
        asked = prompt_tokens(spec.messages, spec.params)
        came = -(-attempt["chars"] // _BYTES_PER_TOKEN) if attempt["committed"] else self.output_tokens(spec)
        return self._price(attempt["model"], TokenUsage(asked, came, asked + came)) or 0.0

    def _learn(self, variant: str | None, tokens: int) -> None:
        lengths = self._lengths.setdefault(variant, deque(maxlen=_LATEST))
        lengths.append(tokens)
        if len(lengths) == PILOT or (len(lengths) > PILOT and (tokens > self._p99[variant] or len(lengths) % 50 == 0)):
            self._p99[variant] = max(1, sorted(lengths)[min(len(lengths) - 1, len(lengths) * 99 // 100)])

    def refund(self, key: Any) -> None:
        """Give a reservation back for a call that was cancelled."""
        self._reserved.pop(key, None)

    def note(self, next_usd: float) -> str:
        """Why a run stopped: what was spent, and what the next call would have needed where that is news."""
        spent, limit = self.spent_usd, self.limit_usd or 0.0
        return f"{NO_MONEY}: ${spent:.4g} of ${limit:.4g} were spent{self.next_words(next_usd)}"

    def next_words(self, next_usd: float) -> str:
        """What the next call would have needed; empty where nearly all is spent, so that it is no news."""
        if self.spent_usd >= 0.9 * (self.limit_usd or 0.0):
            return ""
        return f", and the next call may cost ${next_usd:.4g} (max_tokens= says how long an answer may be)"

    def reaches(self, complete: int, settled: int, rows_of_a_prompt: int) -> int | None:
        """For how many prompts the limit is enough at the cost so far; None: unknown.

        Args:
            complete: prompts that have all their rows.
            settled: rows that were paid for.
            rows_of_a_prompt: arms times repeats.
        """
        if self.limit_usd is None or not settled or not self.spent_usd:
            return None
        of_a_prompt = self.spent_usd / settled * rows_of_a_prompt
        return complete + int(max(0.0, self.limit_usd - self.spent_usd) / of_a_prompt)


def _plain(attempt: AttemptRecord) -> dict[str, Any]:
    names = ("model", "outcome", "cost_usd", "maybe_billed", "completion_tokens", "committed", "chars")
    return {name: getattr(attempt, name) for name in names}
