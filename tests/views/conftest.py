"""A run over scripted calls: real engine, loop and recorder; what each call does stands in a list."""

from __future__ import annotations

import asyncio
import random
from dataclasses import fields

import pytest

from routerlab.core.errors import FailoverExhaustedError
from routerlab.core.types import CompletionResponse, TokenUsage
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.kept import KeptRun
from routerlab.experiments.replay import Arm, Replay, ReplayPlan
from routerlab.experiments.scorers import resolve_scorers
from routerlab.session.loop import LoopThread
from routerlab.session.recorder import Recorder
from routerlab.session.results import AttemptRecord, CallResult
from routerlab.views.opened import OpenedRun
from routerlab.views.run import Run

_ERRORS = {
    "retryable": "ProviderUnavailableError",
    "move_on": "RateLimitError",
    "client_error": "InvalidRequestError",
}
START = 1_800_000_000.0
EVIL = "evil/<script>alert(1)</script>"


def attempt(number, model, at, seconds, outcome="ok", **columns):
    return AttemptRecord(
        call_id=columns.pop("call_id", "c1"),
        run_id=columns.pop("run_id", None),
        attempt=number,
        model=model,
        provider=model.split("/")[0],
        reason="selected",
        started_at=START + at,
        ended_at=START + at + seconds,
        latency_s=seconds,
        outcome=outcome,
        **{"status": 200 if outcome == "ok" else None, **columns},
    )


def call_row(attempts, **columns):
    last = attempts[-1]
    good = last.outcome == "ok"
    return {
        "call_id": last.call_id,
        "run_id": last.run_id,
        "outcome": last.outcome,
        "model": last.model if good else None,
        "provider": last.provider if good else None,
        "error_type": None if good else "FailoverExhaustedError",
        "started_at": attempts[0].started_at,
        "ended_at": last.ended_at,
        "latency_s": last.ended_at - attempts[0].started_at,
        "attempts": len(attempts),
        "failovers": len({a.model for a in attempts}) - 1,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "cost_usd": last.cost_usd,
        "simulated": True,
        "injected": False,
        **columns,
    }


class ScriptedSession:
    """A session whose n-th call goes as `steps` say: model, outcome, status; then the next model."""

    def __init__(self, script):
        self.recorder, self.loop, self._script, self._count = Recorder(), LoopThread(), script, 0
        self.hold = asyncio.Event()

    def submit(self, work):
        return self.loop.submit(work)

    async def call(self, spec):
        number, self._count = self._count, self._count + 1
        steps = self._script[number] if number < len(self._script) else None
        if steps is None:
            await self.hold.wait()
        attempts, at = [], float(number)
        for place, (model, outcome, status, before, after) in enumerate(steps, 1):
            attempts.append(
                attempt(
                    place,
                    model,
                    at,
                    0.1 * place,
                    outcome,
                    call_id=f"c{number}",
                    run_id=spec.run_id,
                    status=status,
                    error_type=_ERRORS.get(outcome),
                    error_message=None if outcome == "ok" else "PROVIDERS WORDS",
                    breaker_before=before,
                    breaker_after=after,
                    cost_usd=0.001 if outcome == "ok" else None,
                    prompt_tokens=10 if outcome == "ok" else None,
                    completion_tokens=20 if outcome == "ok" else None,
                )
            )
            at += 0.1 * place
        for record in attempts:
            self.recorder.add("attempts", {f.name: getattr(record, f.name) for f in fields(record)})
        row = call_row(attempts, item_id=spec.item_id, repeat=spec.repeat, variant=spec.variant)
        self.recorder.add("calls", row)
        self._decide(row["call_id"], attempts[0].model)
        error = None if row["outcome"] == "ok" else FailoverExhaustedError("PROVIDERS WORDS")
        answer = CompletionResponse(f"REPLY {spec.item_id}", usage=TokenUsage(10, 20, 30))
        return CallResult(row["call_id"], spec, row, None if error else answer, error, attempts)

    def _decide(self, call_id, chosen):
        decision = {"call_id": call_id, "step": 0, "chosen": chosen, "probability": 1.0, "strategy": "priority"}
        self.recorder.add("decisions", {**decision, "seed": 0})
        for model, reason in ((chosen, None), ("sim/gone", "out: no key")):
            line = {"call_id": call_id, "step": 0, "model": model, "eligible": reason is None}
            self.recorder.add("candidates", {**line, "score": 0.5, "excluded_because": reason})


OK = ("sim/alpha", "ok", 200, "closed", "closed")
DOWN = ("sim/alpha", "retryable", 503, "closed", "closed")
OPENS = ("sim/alpha", "retryable", 503, "closed", "open")
BETA = ("sim/beta", "ok", 200, "closed", "closed")
BETA_DOWN = ("sim/beta", "move_on", 429, "closed", "closed")
REFUSED = ("sim/beta", "client_error", 400, "closed", "closed")
EVIL_OK = (EVIL, "ok", 200, "closed", "closed")
SCRIPT = [[OK], [OK], [DOWN, BETA], [OPENS, BETA], [BETA], [BETA_DOWN, EVIL_OK], [REFUSED]]


@pytest.fixture
def start_run():
    """Start a run of some scripted calls, one after the other; a call beyond the script hangs."""
    sessions = []

    def start(script=SCRIPT, size=None, **options):
        session = ScriptedSession(script)
        sessions.append(session)
        rows = [
            {"prompt": f"<script>PROMPT {n}</script>", "answer": f"REPLY {n:05d}"}
            for n in range(1, 1 + (size or len(script)))
        ]
        options = {"scorers": resolve_scorers(["exact"]), "name": "a <run>", "concurrency": 1, "seed": None, **options}
        plan = ReplayPlan(load_dataset(rows, name="questions"), [Arm("chat", pool="chat")], **options)
        return Run.start(Replay(plan, call=session.call, recorder=session.recorder), session)

    yield start
    for session in sessions:
        session.loop.stop()


@pytest.fixture
def run(start_run):
    """A run that is over: seven calls, one of them failed, three moved on to another model."""
    return start_run().wait(60)


@pytest.fixture
def make_attempt():
    """Makes an attempt's record: number, model, start and length in seconds, outcome, columns."""
    return attempt


@pytest.fixture
def make_call():
    """Makes the row of a call from its attempts."""
    return call_row


@pytest.fixture
def evil():
    """A model name that is markup."""
    return EVIL


def _kept_item(recorder, item, arms, scores, chance, target, reply):
    """Each arm's call of an item; every fiftieth or so takes a second attempt."""
    base = {"run_id": "r1", "item_id": item}
    for place, (arm, score) in enumerate(zip(arms, scores, strict=True)):
        call_id, at, took = f"c{item}-{place}", float(item) / 50, chance.lognormvariate(place - 3.0, 0.4)
        steps = ["retryable", "ok"] if chance.random() < 0.02 else ["ok"]
        attempts = [
            attempt(number, arm, at, took, outcome, call_id=call_id, run_id="r1", cost_usd=0.001 * (place + 1))
            for number, outcome in enumerate(steps, 1)
        ]
        for record in attempts:
            recorder.add("attempts", {f.name: getattr(record, f.name) for f in fields(record)})
        own = {"repeat": 0, "variant": arm, "purpose": "replay", "requested_model": arm, "finish_reason": "stop"}
        recorder.add("calls", call_row(attempts, **base, **own))
        request = {"messages": [{"role": "user", "content": f"PROMPT {item}"}], "params": {}}
        recorder.add("texts", {"call_id": call_id, "attempt": None, "request": request, "reply": f"{reply} {item}"})
        recorder.add("scores", {**base, "repeat": 0, "variant": arm, "scorer": "exact", "value": score})
    recorder.add("items", {**base, "prompt": f"PROMPT {item}", "target": target, "metadata": {}})


@pytest.fixture
def keep_run():
    """Makes a run that is read from records alone: so many items, each answered by every arm."""

    def keep(items=40, arms=("sim/alpha", "sim/beta"), *, targets=("x",), reply="REPLY"):
        recorder, chance = Recorder(texts_bytes=2**30), random.Random(0)
        named = [{"variant": arm, "pool": None, "model": arm} for arm in arms]
        params = {"dataset": "questions", "arms": named, "scorers": ["exact"], "params": {"max_tokens": 50}}
        run = {"run_id": "r1", "name": "kept", "kind": "replay", "status": "done", "created_at": START}
        run |= {"dataset_hash": "d0", "params_hash": "p0", "params": params, "version": "0.1.0"}
        recorder.add("runs", run)
        for n in range(items):
            scores = [float(chance.random() < 0.6 + 0.2 * place) for place in range(len(arms))]
            _kept_item(recorder, f"{n:05d}", arms, scores, chance, targets[n % len(targets)], reply)
        return OpenedRun(KeptRun(run, recorder), recorder)

    return keep
