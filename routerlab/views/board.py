"""What the live panels show, as plain data: fed with new records, it gives the page one small update a tick.

The page gets a *whole* (`Board.whole`) once, then *updates* (`Board.update`), each numbered, each a dict of JSON. Both
have the same keys; an update leaves out what has not changed, and ``models`` and ``names`` (short, told apart) do not:

    n   number of the update          t   when (epoch seconds)
    s   {model's place: state}        state: [breaker (0 closed, 1 open, 2 half-open), until, score, success,
                                      latency_ms, in_flight, samples, note, note's end]; times: epoch seconds or 0
    p   [point]                       point: [at, width, score, success, latency_ms, ok, failed, score, …], by model
                                      (in the whole, ``at`` is from ``t`` on: negative)
    b   [ok, failed, ok, …]           attempts since the last point, model by model
    g   [[at, model's place, breaker]]               a lane changes its colour
    e   [[at, model's place, kind, words]]           a mark on a lane: probe, hand, fault, clear, cooling, out, back
    c   {calls, ok, failed, failovers, tokens, cost_usd, calls_s, tokens_s}
    f   [trace]                       of calls that moved on (`trace_data`)
    x   {name: anything}              faults, traffic, runs, … (`Publisher`)

Scores and shares are in thousandths, None where there is no data. No prompt, reply or provider's word is in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.types import ModelSnapshot
from routerlab.views.counters import Counters
from routerlab.views.feed import News
from routerlab.views.past import past_points
from routerlab.views.points import Point, Points, Sample
from routerlab.views.words import short_names

__all__ = ["BREAKERS", "Board"]

BREAKERS = ("closed", "open", "half_open")
_POINT_S = 1.0
_MARKS = 200  # of each kind kept for the whole
_TRACES = 12
_FIRST_POINTS = 300
_CLOCKS_S = 0.25
_NEUTRAL = frozenset({"cancelled", "rejected"})
_BY_HAND = frozenset({"reset", "forced_open", "forced_closed"})


class Board:
    """The state of the live panels of one lab. One owner; the time is passed in (epoch seconds).

    Args:
        models: ``provider/model`` of every model, in their order.
    """

    def __init__(self, models: Sequence[str]) -> None:
        self.models = list(models)
        self.names = short_names(models)
        self.counters = Counters()
        self.points = Points()
        self.lanes: list[deque[tuple[float, int]]] = [deque(maxlen=_MARKS) for _ in self.models]
        self.marks: deque[list[Any]] = deque(maxlen=_MARKS)
        self.traces: deque[dict[str, Any]] = deque(maxlen=_TRACES)
        self.extras: dict[str, Any] = {}
        self.number = 0
        self.at = 0.0  # of the last change
        self._places = {model: place for place, model in enumerate(self.models)}
        self._states: list[list[Any]] = [[0, 0, None, None, None, 0, 0, "", 0] for _ in self.models]
        self._samples = [Sample(None, None, None)] * len(self.models)
        self._bucket = [0] * (2 * len(self.models))
        self._bucket_at: float | None = None
        self._shown: dict[str, Any] = {}  # what the page knows of counters, bucket and extras

    def begin(self, news: News) -> None:
        """Take in the past, before the first update."""
        for point in past_points(self.models, news):
            self.points.add(point)
        self._take_news(news, {})
        self._bucket, self._bucket_at = [0] * len(self._bucket), None
        self.at = max([*news.calls["ended_at"][-1:], *news.events["at"][-1:], 0.0])

    # -- feeding -------------------------------------------------------------------------------------------------------

    def update(
        self,
        news: News,
        snapshots: Sequence[ModelSnapshot],
        now: float,
        extras: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """Take in what happened since the last update.

        Args:
            news: the new records.
            snapshots: of the models now, in the order of `models`.
            now: epoch seconds.
            extras: see the key ``x``.

        Returns:
            What the page must be told; None where nothing changed.
        """
        found: dict[str, Any] = {}
        self._take_news(news, found)
        states = self._look(snapshots, found, now)
        changed = {place: state for place, state in enumerate(states) if state != self._states[place]}
        for place, state in changed.items():
            self._states[place] = state
        if changed:
            found["s"] = {str(place): state for place, state in changed.items()}
        self._close_bucket(now, found, bool(changed))
        self._changed("b", list(self._bucket), found)
        self._changed("c", self.counters.shown(now), found)
        if extras is not None and extras != self.extras:
            found["x"] = self.extras = dict(extras)
        return self._numbered(found, now) if found else None

    def say(self, extras: Mapping[str, Any], now: float) -> dict[str, Any]:
        """An update of the key ``x`` alone."""
        self.extras = dict(extras)
        return self._numbered({"x": self.extras}, now)

    def _numbered(self, found: dict[str, Any], now: float) -> dict[str, Any]:
        self.number += 1
        self.at = now
        return {"n": self.number, "t": round(now, 3), **found}

    def whole(self, now: float) -> dict[str, Any]:
        """Everything that a page needs to begin with."""
        return {
            "n": self.number,
            "t": round(now, 3),
            "at": round(self.at, 3),
            "models": self.models,
            "names": self.names,
            "s": {str(place): state for place, state in enumerate(self._states)},
            "p": [_point(point, round(now, 3)) for point in self.points.newest(_FIRST_POINTS)],
            "b": list(self._bucket),
            "g": sorted([round(at, 3), place, state] for place, lane in enumerate(self.lanes) for at, state in lane),
            "e": list(self.marks),
            "c": self.counters.shown(now),
            "f": list(self.traces),
            "x": self.extras,
        }

    def breaker(self, place: int) -> int:
        """The state of a lane, as a place in `BREAKERS`."""
        return self.lanes[place][-1][1] if self.lanes[place] else 0

    def _take_news(self, news: News, found: dict[str, Any]) -> None:
        self.counters.add(news.calls)
        attempts = news.attempts
        for model, outcome, reason, at in zip(
            attempts["model"], attempts["outcome"], attempts["reason"], attempts["ended_at"], strict=True
        ):
            place = self._places.get(model)
            if place is None:
                continue
            if outcome not in _NEUTRAL:
                self._bucket[2 * place + (outcome != "ok")] += 1
                self._bucket_at = at if self._bucket_at is None else self._bucket_at
            if reason == "probe":
                words = {"ok": "probe succeeded"}.get(outcome, "probe ended" if outcome in _NEUTRAL else "probe failed")
                self._mark(at, place, "probe", words, found)
        self._take_events(news.events, found)
        for trace in news.traces:
            self.traces.append(trace)
            found.setdefault("f", []).append(trace)

    def _take_events(self, events: Mapping[str, Sequence[Any]], found: dict[str, Any]) -> None:
        columns = (events[name] for name in ("at", "kind", "model", "old", "new", "cause"))
        for at, kind, model, old, new, cause in zip(*columns, strict=True):
            place = self._places.get(model)
            if place is None:
                continue
            if kind == "breaker" and new in BREAKERS:
                self._turn(at, place, BREAKERS.index(new), found)
                if cause in _BY_HAND:
                    self._mark(at, place, "hand", f"by hand: {old} to {new}".replace("_", "-"), found)
            elif kind == "fault_injected":
                self._mark(at, place, "fault", f"fault: {new}", found)
            elif kind == "fault_cleared":
                self._mark(at, place, "clear", "faults cleared", found)
            elif kind in {"cooling", "out", "back"}:
                words = {"cooling": f"cooling {new}", "out": f"out: {new}", "back": "back, by hand"}[kind]
                self._mark(at, place, kind, words, found)

    def _turn(self, at: float, place: int, state: int, found: dict[str, Any]) -> None:
        lane = self.lanes[place]
        if state == self.breaker(place):
            return
        if lane and at < lane[-1][0]:
            at = lane[-1][0]
        lane.append((at, state))
        found.setdefault("g", []).append([round(at, 3), place, state])

    def _mark(self, at: float, place: int, kind: str, words: str, found: dict[str, Any]) -> None:
        mark = [round(at, 3), place, kind, words]
        self.marks.append(mark)
        marks = found.setdefault("e", [])
        if len(marks) < _MARKS // 10:
            marks.append(mark)

    def _look(self, snapshots: Sequence[ModelSnapshot], found: dict[str, Any], now: float) -> list[list[Any]]:
        """The models as routing sees them; a breaker turns half-open by the clock alone, without a record."""
        states = []
        for place, snapshot in enumerate(snapshots):
            breaker = BREAKERS.index(snapshot.breaker)
            self._turn(now, place, breaker, found)
            old, to_epoch = self._states[place], now - snapshot.at
            until = _same(old[1], snapshot.at + snapshot.seconds_to_probe + to_epoch) if breaker == 1 else 0
            note, end = _note(snapshot, to_epoch)
            self._samples[place] = Sample(snapshot.score, snapshot.success_rate, snapshot.latency_s)
            states.append(
                [
                    breaker,
                    until,
                    _thousandths(snapshot.score),
                    _thousandths(snapshot.success_rate),
                    _ms(snapshot.latency_s),
                    snapshot.in_flight,
                    snapshot.samples,
                    note,
                    _same(old[8], end),
                ]
            )
        return states

    def _close_bucket(self, now: float, found: dict[str, Any], changed: bool) -> None:
        """Once a second, where anything happened, make a point of it."""
        if changed and self._bucket_at is None:
            self._bucket_at = now
        if self._bucket_at is None or now - self._bucket_at < _POINT_S:
            return
        counts = self._bucket
        samples = tuple(
            Sample(sample.score, sample.success, sample.latency_s, counts[2 * place], counts[2 * place + 1])
            for place, sample in enumerate(self._samples)
        )
        point = Point(now, min(now - self._bucket_at, 2 * _POINT_S), samples, self.counters.shown(now))
        self.points.add(point)
        found.setdefault("p", []).append(_point(point))
        self._bucket, self._bucket_at = [0] * len(counts), None

    def _changed(self, key: str, value: Any, found: dict[str, Any]) -> None:
        if self._shown.get(key) != value:
            self._shown[key] = found[key] = value


def _note(snapshot: ModelSnapshot, to_epoch: float) -> tuple[str, float]:
    """Why a model with a closed breaker gets nothing, and until when (epoch seconds; 0: nobody knows)."""
    if snapshot.out_because:
        return f"out: {snapshot.out_because}", 0.0 if snapshot.out_until is None else snapshot.out_until + to_epoch
    if snapshot.cooling_until > snapshot.at:
        return "cooling", snapshot.cooling_until + to_epoch
    return "", 0.0


def _same(old: float, new: float) -> float:
    """A moment read again: two clocks never agree to the millisecond, and that is no news."""
    return old if abs(new - old) < _CLOCKS_S else round(new, 1)


def _point(point: Point, zero: float = 0.0) -> list[Any]:
    values: list[Any] = [round(point.at - zero, 2), round(point.width, 2)]
    for sample in point.samples:
        values += [_thousandths(sample.score), _thousandths(sample.success), _ms(sample.latency_s)]
        values += [sample.ok, sample.failed]
    return values


def _thousandths(value: float | None) -> int | None:
    return None if value is None else round(1000 * value)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)
