"""A simulated model: how fast, how right, how dear it is, and what goes wrong with it.

`play` turns one request to it into a `Script`; it is a pure function, so the same seed and the same request give the
same answer, over HTTP and under a virtual clock, whatever else is going on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from routerlab.core.capabilities import CHAT, EMBEDDING
from routerlab.core.chance import Chance
from routerlab.core.record import record
from routerlab.core.script import Part, Script, Step
from routerlab.core.simulated_answers import answer, carry_on, embedding, fill_schema, tokenize
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.core.simulated_request import SimulatedRequest, read_chat, read_embedding
from routerlab.core.simulated_verdict import read_material, verdict
from routerlab.core.types import Price, TokenUsage

__all__ = [
    "Latency",
    "SimulatedModel",
    "SimulatedRequest",
    "play",
    "read_chat",
    "read_embedding",
]

_TICK_S = 0.02  # tokens that follow each other faster are sent together, as servers under load do


@record
class Latency:
    """A lognormal distribution of seconds, or of tokens per second.

    Args:
        median: half of the draws lie below it; 0 or more.
        sigma: standard deviation of the logarithm; 0: always the median.
    """

    median: float
    sigma: float = 0.0

    def __post_init__(self) -> None:
        for name in ("median", "sigma"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, not {value!r}")

    def draw(self, chance: Chance) -> float:
        """One value."""
        return chance.lognormal(self.median, self.sigma)


@record
class SimulatedModel:
    """Everything there is to know of a simulated model.

    Args:
        name: without the provider.
        ttft_s: seconds to the first token.
        tokens_per_s: after the first one; a median of 0: all at once.
        accuracy: the probability of the right answer to a prompt of `answers`, 0 to 1; of the right verdict, too.
        answers: right answers by prompt; other prompts get made-up prose, and a judge's get a verdict.
        price: USD per million tokens; None: unknown.
        context_window: in tokens; None: no limit. A longer request is refused as a real server refuses it.
        features: of ``tools``, ``json``, ``vision``, ``prefill`` (it carries on a last message that is the
            assistant's own); what is not in it is refused.
        capabilities: dotted names.
        dimensions: length of its embeddings.
        overlap: tokens that it says once more of an answer that it carries on.
        rpm: requests per minute that it takes before it answers 429; None: no limit, and no headers about one.
        tpm: tokens per minute, likewise.
        faults: what goes wrong when, in seconds after its start.
        script: what goes wrong with its first, second, … request; None: nothing.
    """

    name: str
    ttft_s: Latency = Latency(0.05, 0.3)
    tokens_per_s: Latency = Latency(200.0, 0.2)
    accuracy: float = 1.0
    answers: Mapping[str, str] = field(default_factory=dict)
    price: Price | None = None
    context_window: int | None = 128_000
    features: frozenset[str] = frozenset({"tools", "json", "vision", "prefill"})
    capabilities: tuple[str, ...] = (CHAT, EMBEDDING)
    dimensions: int = 64
    overlap: int = 0
    rpm: int | None = None
    tpm: int | None = None
    faults: tuple[ScheduledFault, ...] = ()
    script: tuple[ScheduledFault | None, ...] = ()

    def faults_for(self, number: int, now_s: float) -> tuple[ScheduledFault, ...]:
        """What its own schedule and script have in store for a request.

        Args:
            number: how many requests came before this one.
            now_s: seconds after the model's start.
        """
        scripted = self.script[number] if number < len(self.script) else None
        active = tuple(fault for fault in self.faults if fault.is_active(now_s))
        return active if scripted is None else (*active, scripted)


def play(
    model: SimulatedModel,
    request: SimulatedRequest,
    *,
    faults: Sequence[ScheduledFault] = (),
    seed: int = 0,
    repeat: int = 0,
) -> Script:
    """What the model does with a request.

    Args:
        model: who answers.
        request: what is asked.
        faults: those that are active now; applied in their order.
        seed: of the provider.
        repeat: how often this model got this prompt before. It changes how long the answer takes and whether a fault
            strikes (so that a retry may succeed), never what the answer is.
    """
    if not _fits(model, request):
        faults = (ScheduledFault("context_length_exceeded"),)
    script = _answer(model, request, seed, Chance(seed, model.name, request.prompt, repeat, "time"))
    chance = Chance(seed, model.name, request.prompt, repeat, "fault")
    for fault in faults:
        script = fault.apply(script, chance)
    return script


def _fits(model: SimulatedModel, request: SimulatedRequest) -> bool:
    return model.context_window is None or request.prompt_tokens + (request.max_tokens or 0) <= model.context_window


def _answer(model: SimulatedModel, request: SimulatedRequest, seed: int, timing: Chance) -> Script:
    content = Chance(seed, model.name, request.system + request.prompt, request.seed, "answer")
    ttft_s, rate = model.ttft_s.draw(timing), model.tokens_per_s.draw(timing)
    if request.inputs:
        return _embed(model, request, seed, ttft_s)
    pieces, finish = _pieces(model, request, content)
    prompt, completion = request.prompt_tokens, sum(tokens for tokens, _ in pieces)
    steps = _paced(pieces, rate)
    steps.append(Step(Part.FINISH, finish))
    if request.usage or not request.stream:
        steps.append(Step(Part.USAGE, TokenUsage(prompt, completion, prompt + completion)))
    steps.append(Step(Part.DONE))
    return Script(stream=request.stream, delay_s=ttft_s, steps=tuple(steps))


def _embed(model: SimulatedModel, request: SimulatedRequest, seed: int, delay_s: float) -> Script:
    size = request.dimensions or model.dimensions
    vectors = tuple(embedding(text, size, seed, model.name) for text in request.inputs)
    usage = TokenUsage(request.prompt_tokens, 0, request.prompt_tokens)
    return Script(delay_s=delay_s, steps=(Step(Part.VECTORS, vectors), Step(Part.USAGE, usage)))


def _pieces(model: SimulatedModel, request: SimulatedRequest, chance: Chance) -> tuple[list[tuple[int, Step]], str]:
    """The answer's steps with the tokens of each, and the finish reason."""
    material = read_material(request.prompt, model.answers)
    if material:
        text = verdict(material, request.system, model.answers, model.accuracy, chance)
    else:
        text = answer(request.prompt, model.answers, model.accuracy, chance)
    if request.tool is not None:
        fragments = _call(request.tool, text, chance)
        return [(len(tokenize(str(part["function"]))), Step(Part.TOOL_CALL, part)) for part in fragments], "tool_calls"
    if request.schema is not None:
        import json

        text = json.dumps(fill_schema(request.schema, text, chance), ensure_ascii=False)
    if request.so_far:
        text = carry_on(text, request.so_far, model.overlap)
    stopped = min((stop for stop in request.stop if stop and stop in text), key=text.index, default=None)
    tokens = tokenize(text if stopped is None else text[: text.index(stopped)])
    limit = len(tokens) if request.max_tokens is None else request.max_tokens
    steps = [(1, Step(Part.TEXT, token)) for token in tokens[:limit]]
    if limit < len(tokens):
        return steps, "length"
    return (steps if stopped is None else [*steps, (0, Step(Part.STOPPED, stopped))]), "stop"


def _paced(pieces: Sequence[tuple[int, Step]], tokens_per_s: float) -> list[Step]:
    """Give each piece its delay; texts within one tick become one step. The first piece comes with the headers."""
    steps: list[Step] = []
    waited = 0.0
    for index, (tokens, step) in enumerate(pieces):
        waited += tokens / tokens_per_s if tokens_per_s and index else 0.0
        if index and step.part is Part.TEXT and waited < _TICK_S and len(steps) > 1:
            steps[-1] = replace(steps[-1], data=steps[-1].data + step.data)
            continue
        steps.append(replace(step, delay_s=waited))
        waited = 0.0
    return steps


def _call(tool: Mapping[str, Any], text: str, chance: Chance) -> list[dict[str, Any]]:
    import json

    arguments = json.dumps(fill_schema(tool.get("parameters") or {"type": "object"}, text, chance))
    half = len(arguments) // 2
    call = f"call_{chance.bits():016x}"
    first = {"index": 0, "id": call, "type": "function", "function": {"name": tool["name"], "arguments": ""}}
    return [first, *({"index": 0, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:]))]
